//! The delivery plan, the schedule, bounces, and the queue manager.
