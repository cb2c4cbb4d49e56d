package sandboxserver

import (
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"holdfast/db/sandboxdb"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
)

func (s *server) get(c *gin.Context) {
	if charge, ok := s.load(c, c.Param("key")); ok {
		c.JSON(http.StatusOK, s.wire(c, charge))
	}
}

func (s *server) capture(c *gin.Context) {
	var charge sandboxdb.Charge
	err := s.change(c, func(db sandboxdb.DBTX) error {
		var err error
		if charge, err = s.q.CaptureCharge(c, db, c.Param("key")); err != nil {
			return err
		}
		return s.tell(c, db, charge, nil, payment.EventCaptured)
	})
	if err == nil {
		c.JSON(http.StatusOK, s.wire(c, charge))
		return
	}
	if !errors.Is(err, pgx.ErrNoRows) {
		httpx.Fail(c, err)
		return
	}

	charge, ok := s.load(c, c.Param("key"))
	switch {
	case !ok:
	case charge.State == string(payment.Captured): // by an earlier request
		c.JSON(http.StatusOK, s.wire(c, charge))
	case charge.VoidReason == lapsed:
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", payment.AuthorisationExpired))
	default:
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", payment.NotAuthorised))
	}
}

// void voids a charge. If the key is unknown, it inserts a voided charge, so that a late authorisation is refused.
func (s *server) void(c *gin.Context) {
	var in sandbox.VoidRequest
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	key := c.Param("key")
	if !validKey.MatchString(key) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", payment.InvalidKey))
		return
	}
	if err := s.voidOrBar(c, key, in.Reason); err != nil {
		httpx.Fail(c, err)
		return
	}

	charge, ok := s.load(c, key)
	switch {
	case !ok:
	case charge.State == string(payment.Captured):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeCaptured, "the payment is captured and can only be refunded"))
	default:
		c.JSON(http.StatusOK, s.wire(c, charge))
	}
}

// voidOrBar voids the charge, or bars the key with a charge that is void from the start if it is new.
func (s *server) voidOrBar(c *gin.Context, key, reason string) error {
	return s.change(c, func(db sandboxdb.DBTX) error {
		_, err := s.q.InsertCharge(c, db, sandboxdb.InsertChargeParams{
			PaymentKey:  key,
			ProviderRef: newRef(),
			Currency:    "XXX", // ISO 4217's code for no currency: nothing was authorised under the key
			State:       string(payment.Voided),
			VoidReason:  reason,
		})
		if !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		charge, err := s.q.VoidCharge(c, db, sandboxdb.VoidChargeParams{PaymentKey: key, VoidReason: reason})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil // nothing is set aside
		case err != nil:
			return err
		}
		return s.tell(c, db, charge, nil, payment.EventVoided)
	})
}

// lapsed is the reason of a void whose authorisation's time is over.
const lapsed = string(payment.AuthorisationExpired)

// settleLapsed voids a charge whose authorisation's time is over by the database's clock.
func (s *server) settleLapsed(c *gin.Context, charge sandboxdb.Charge) (sandboxdb.Charge, error) {
	// The margin covers the difference between the two clocks.
	if charge.State != string(payment.Authorised) || charge.AuthorisedUntil == nil ||
		time.Until(*charge.AuthorisedUntil) > time.Minute {
		return charge, nil
	}
	err := s.change(c, func(db sandboxdb.DBTX) error {
		voided, err := s.q.VoidLapsedCharge(c, db, sandboxdb.VoidLapsedChargeParams{
			PaymentKey: charge.PaymentKey,
			VoidReason: lapsed,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return nil // it is not over yet, or another request was faster
		}
		if err != nil {
			return err
		}
		return s.tell(c, db, voided, nil, payment.EventVoided)
	})
	if err != nil {
		return charge, err
	}
	return s.q.GetCharge(c, s.pool, charge.PaymentKey)
}

// load returns the charge, or answers the request and returns false.
func (s *server) load(c *gin.Context, key string) (sandboxdb.Charge, bool) {
	charge, err := s.q.GetCharge(c, s.pool, key)
	if err == nil {
		charge, err = s.settleLapsed(c, charge)
	}
	if errors.Is(err, pgx.ErrNoRows) {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeUnknown, "no payment has the key %q", key))
		return charge, false
	}
	if err != nil {
		httpx.Fail(c, err)
		return charge, false
	}
	return charge, true
}

// wire is the charge as the contract has it.
func (s *server) wire(c *gin.Context, charge sandboxdb.Charge) payment.Payment {
	out := payment.Payment{
		Key:             charge.PaymentKey,
		ProviderRef:     charge.ProviderRef,
		Amount:          money.Amount{Minor: charge.AmountMinor, Currency: charge.Currency},
		CapturedMinor:   charge.CapturedMinor,
		RefundedMinor:   charge.RefundedMinor,
		State:           payment.State(charge.State),
		AuthorisedUntil: charge.AuthorisedUntil,
		DeclineCode:     payment.Code(charge.DeclineReason),
	}
	if out.State == payment.RequiresAction {
		out.Action = &payment.Action{URL: s.actionURL(c, charge.ActionToken.String)}
	}
	return out
}

// books answers what was taken and given back for one reference.
func (s *server) books(c *gin.Context) {
	rows, err := s.q.GetBooks(c, s.pool, c.Param("reference"))
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	out := sandbox.Books{Reference: c.Param("reference"), Currencies: []sandbox.CurrencyBooks{}}
	for _, r := range rows {
		in := func(minor int64) money.Amount { return money.Amount{Minor: minor, Currency: r.Currency} }
		out.Currencies = append(out.Currencies, sandbox.CurrencyBooks{
			Captures:   r.Captures,
			Authorised: in(r.AuthorisedMinor),
			Captured:   in(r.CapturedMinor),
			Refunded:   in(r.RefundedMinor),
			Net:        in(r.CapturedMinor - r.RefundedMinor),
			Consistent: r.RefundedMinor == r.RefundRowsMinor,
		})
	}
	c.JSON(http.StatusOK, out)
}
