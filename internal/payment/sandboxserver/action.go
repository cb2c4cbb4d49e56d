package sandboxserver

import (
	_ "embed"
	"errors"
	"html/template"
	"net/http"
	"net/url"

	"github.com/gin-gonic/gin"
	"github.com/jackc/pgx/v5"

	"holdfast/db/sandboxdb"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/problem"
)

//go:embed action.html
var actionHTML string

var actionPage = template.Must(template.New("action").Parse(actionHTML))

// actionURL is where the customer completes an action.
func (s *server) actionURL(c *gin.Context, token string) string {
	base := s.publicURL
	if base == "" {
		base = "http://" + c.Request.Host
	}
	return base + "/action/" + token
}

// showAction shows the customer the page that a bank would show: approve the payment or refuse it.
func (s *server) showAction(c *gin.Context) {
	charge, err := s.q.GetChargeByAction(c, s.pool, c.Param("token"))
	if err != nil {
		failAction(c, err)
		return
	}
	s.renderAction(c, charge)
}

// completeAction carries out the customer's decision. The first decision counts: later ones change nothing.
func (s *server) completeAction(c *gin.Context) {
	state, code := payment.Authorised, payment.Code("")
	switch c.PostForm("decision") {
	case "approve":
	case "refuse":
		state, code = payment.Declined, payment.AuthenticationFailed
	default:
		httpx.Fail(c, problem.Invalid("decision", "decision is approve or refuse"))
		return
	}
	err := s.change(c, func(db sandboxdb.DBTX) error {
		charge, err := s.q.CompleteAction(c, db, sandboxdb.CompleteActionParams{
			State:             string(state),
			DeclineReason:     string(code),
			AuthorisedSeconds: s.authorisedFor.Seconds(),
			ActionToken:       c.Param("token"),
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil // decided before, or no such action: the look-up below tells
		case err != nil:
			return err
		case state == payment.Authorised:
			return s.tell(c, db, charge, nil, payment.EventActionCompleted, payment.EventAuthorised)
		}
		return s.tell(c, db, charge, nil, payment.EventActionCompleted, payment.EventFailed)
	})
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	charge, err := s.q.GetChargeByAction(c, s.pool, c.Param("token"))
	switch {
	case err != nil:
		failAction(c, err)
	case charge.ReturnUrl != "":
		c.Redirect(http.StatusSeeOther, returnURL(charge))
	default:
		s.renderAction(c, charge)
	}
}

// returnURL is the caller's address with the payment's key. It says nothing of the outcome, because a customer can
// change what it says: the caller looks the payment up.
func returnURL(charge sandboxdb.Charge) string {
	u, err := url.Parse(charge.ReturnUrl)
	if err != nil {
		return charge.ReturnUrl // it was checked when the payment began
	}
	q := u.Query()
	q.Set("payment_key", charge.PaymentKey)
	u.RawQuery = q.Encode()
	return u.String()
}

func (s *server) renderAction(c *gin.Context, charge sandboxdb.Charge) {
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Header("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
	c.Header("Cache-Control", "no-store")
	c.Status(http.StatusOK)
	err := actionPage.Execute(c.Writer, struct {
		Amount, Reference, State string
		Open                     bool
	}{
		Amount:    money.Amount{Minor: charge.AmountMinor, Currency: charge.Currency}.String(),
		Reference: charge.Reference,
		State:     charge.State,
		Open:      charge.State == string(payment.RequiresAction),
	})
	if err != nil {
		_ = c.Error(err) // the access log shows it
	}
}

func failAction(c *gin.Context, err error) {
	if errors.Is(err, pgx.ErrNoRows) {
		err = sandbox.Table.New(sandbox.CodeUnknown, "there is no such action")
	}
	httpx.Fail(c, err)
}
