-- A reservation without an order, and the customer who asked for it.

-- name: RegisterReservation :exec
INSERT INTO customer_reservations (reservation_id, owner_id, issuer, customer_id, their_order_id)
VALUES (@reservation_id, @owner_id, @issuer, @customer_id, @their_order_id)
ON CONFLICT (reservation_id) DO NOTHING;

-- name: GetReservation :one
SELECT * FROM customer_reservations WHERE reservation_id = $1;
