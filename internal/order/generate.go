package order

//go:generate go run ./statespage ../../docs/architecture/order-states.md
