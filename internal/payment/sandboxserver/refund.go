package sandboxserver

import (
	"errors"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"holdfast/db/sandboxdb"
	"holdfast/internal/httpx"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
)

func (s *server) refund(c *gin.Context) {
	var in sandbox.RefundRequest
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	if in.AmountMinor <= 0 || !validKey.MatchString(in.RefundKey) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", payment.InvalidRefund))
		return
	}
	charge, ok := s.load(c, c.Param("key"))
	switch {
	case !ok:
		return
	case charge.State != string(payment.Captured):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", payment.NotCaptured))
		return
	}

	err := pgx.BeginFunc(c, s.pool, func(tx pgx.Tx) error { return s.giveBack(c, tx, in) })
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	s.wakeUp()
	s.get(c)
}

// giveBack adds the refund and takes it off the charge, unless it was added before. Both or none are committed.
func (s *server) giveBack(c *gin.Context, tx pgx.Tx, in sandbox.RefundRequest) error {
	key := c.Param("key")
	refund, err := s.q.InsertRefund(c, tx, sandboxdb.InsertRefundParams{
		RefundKey:   in.RefundKey,
		PaymentKey:  key,
		AmountMinor: in.AmountMinor,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		known, err := s.q.GetRefund(c, tx, in.RefundKey)
		if err == nil && (known.PaymentKey != key || known.AmountMinor != in.AmountMinor) {
			return sandbox.Table.New(sandbox.CodeKeyUsed, "the refund key names another refund")
		}
		return err
	}
	if err != nil {
		return err
	}
	charge, err := s.q.RefundCharge(c, tx, sandboxdb.RefundChargeParams{PaymentKey: key, AmountMinor: in.AmountMinor})
	if errors.Is(err, pgx.ErrNoRows) {
		return sandbox.Table.New(sandbox.CodeRefused, "%s", payment.MoreThanCaptured)
	}
	if err != nil {
		return err
	}
	told := wireRefund(refund)
	return s.tell(c, tx, charge, &told, payment.EventRefunded)
}

func (s *server) getRefund(c *gin.Context) {
	refund, err := s.q.GetRefund(c, s.pool, c.Param("refund_key"))
	switch {
	case errors.Is(err, pgx.ErrNoRows), err == nil && refund.PaymentKey != c.Param("key"):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeUnknown, "the payment has no refund with the key %q",
			c.Param("refund_key")))
	case err != nil:
		httpx.Fail(c, err)
	default:
		c.JSON(http.StatusOK, wireRefund(refund))
	}
}

// wireRefund is the refund as the contract has it. The sandbox's refunds succeed at once.
func wireRefund(r sandboxdb.Refund) payment.Refund {
	return payment.Refund{
		Key:         r.RefundKey,
		ProviderRef: "sbx_refund_" + r.RefundKey,
		AmountMinor: r.AmountMinor,
		State:       payment.RefundSucceeded,
	}
}
