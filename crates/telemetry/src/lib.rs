//! Delivery events, OpenTelemetry traces and metrics from the delivery account.
