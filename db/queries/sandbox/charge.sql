-- A charge is one payment at the sandbox provider. The caller's key names it.

-- name: InsertCharge :execrows
INSERT INTO charges (payment_key, provider_ref, method, amount_minor, currency, state, decline_reason, authorised_until, authorise_requests)
VALUES (@payment_key, @provider_ref, @method, @amount_minor, @currency, @state, @decline_reason, @authorised_until, @authorise_requests)
ON CONFLICT (payment_key) DO NOTHING;

-- name: CountAuthoriseRequest :one
UPDATE charges SET authorise_requests = authorise_requests + 1 WHERE payment_key = $1 RETURNING authorise_requests;

-- name: GetCharge :one
SELECT * FROM charges WHERE payment_key = $1;

-- name: CaptureCharge :execrows
UPDATE charges SET state = 'captured', captured_minor = amount_minor, updated_at = now()
WHERE payment_key = $1 AND state = 'authorised' AND authorised_until > now();

-- name: VoidCharge :execrows
UPDATE charges SET state = 'voided', updated_at = now()
WHERE payment_key = $1 AND state = 'authorised';

-- name: InsertRefund :execrows
INSERT INTO refunds (refund_key, payment_key, amount_minor)
VALUES (@refund_key, @payment_key, @amount_minor)
ON CONFLICT (refund_key) DO NOTHING;

-- name: RefundCharge :execrows
UPDATE charges SET refunded_minor = refunded_minor + @amount_minor, updated_at = now()
WHERE payment_key = @payment_key AND state = 'captured' AND refunded_minor + @amount_minor <= captured_minor;
