-- A charge is one payment at the sandbox provider. The caller's key names it. The database's clock decides how long
-- money stays set aside.

-- name: InsertCharge :one
INSERT INTO charges (
    payment_key, provider_ref, method, amount_minor, currency, state, decline_reason, void_reason, reference, return_url,
    action_token, authorised_until
)
VALUES (
    @payment_key, @provider_ref, @method, @amount_minor, @currency, @state, @decline_reason, @void_reason, @reference,
    @return_url, sqlc.narg(action_token),
    CASE WHEN @state::text = 'authorised' THEN now() + make_interval(secs => @authorised_seconds::float8) END
)
ON CONFLICT (payment_key) DO NOTHING
RETURNING *;

-- name: CountAuthoriseRequest :one
UPDATE charges SET authorise_requests = authorise_requests + 1 WHERE payment_key = $1 RETURNING *;

-- name: GetCharge :one
SELECT * FROM charges WHERE payment_key = $1;

-- name: GetChargeByAction :one
SELECT * FROM charges WHERE action_token = @action_token::text;

-- name: CompleteAction :one
UPDATE charges SET state = @state, decline_reason = @decline_reason, updated_at = now(),
    authorised_until =
        CASE WHEN @state::text = 'authorised' THEN now() + make_interval(secs => @authorised_seconds::float8) END
WHERE action_token = @action_token::text AND state = 'requires_action'
RETURNING *;

-- name: CaptureCharge :one
UPDATE charges SET state = 'captured', captured_minor = amount_minor, updated_at = now()
WHERE payment_key = $1 AND state = 'authorised' AND authorised_until > now()
RETURNING *;

-- name: VoidCharge :one
UPDATE charges SET state = 'voided', void_reason = @void_reason, updated_at = now()
WHERE payment_key = @payment_key AND state IN ('authorised', 'requires_action')
RETURNING *;

-- name: VoidLapsedCharge :one
UPDATE charges SET state = 'voided', void_reason = @void_reason, updated_at = now()
WHERE payment_key = @payment_key AND state = 'authorised' AND authorised_until <= now()
RETURNING *;

-- name: InsertRefund :one
INSERT INTO refunds (refund_key, payment_key, amount_minor)
VALUES (@refund_key, @payment_key, @amount_minor)
ON CONFLICT (refund_key) DO NOTHING
RETURNING *;

-- name: GetRefund :one
SELECT * FROM refunds WHERE refund_key = $1;

-- name: RefundCharge :one
UPDATE charges SET refunded_minor = refunded_minor + @amount_minor, updated_at = now()
WHERE payment_key = @payment_key AND state = 'captured' AND refunded_minor + @amount_minor <= captured_minor
RETURNING *;

-- name: GetBooks :many
-- The books of one reference, per currency. Refunds are summed from their own rows and from the charges: the two agree.
SELECT c.currency,
    count(*) FILTER (WHERE c.state = 'captured') AS captures,
    coalesce(sum(c.amount_minor) FILTER (WHERE c.state = 'authorised'), 0)::bigint AS authorised_minor,
    coalesce(sum(c.captured_minor), 0)::bigint AS captured_minor,
    coalesce(sum(c.refunded_minor), 0)::bigint AS refunded_minor,
    coalesce(sum(r.refund_minor), 0)::bigint AS refund_rows_minor
FROM charges c
LEFT JOIN (
    SELECT refunds.payment_key, sum(refunds.amount_minor) AS refund_minor FROM refunds GROUP BY refunds.payment_key
) r USING (payment_key)
WHERE c.reference = @reference AND c.method <> ''
GROUP BY c.currency
ORDER BY c.currency;
