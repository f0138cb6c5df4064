//! Scenarios and the rules of the house.
