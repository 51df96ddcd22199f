"""The verdict on somebody's own model: attacked as hard as its access allows, and checked against fooling oneself."""
