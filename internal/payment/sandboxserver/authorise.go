package sandboxserver

import (
	"crypto/rand"
	"errors"
	"net/http"
	"regexp"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"holdfast/db/sandboxdb"
	"holdfast/internal/httpx"
	"holdfast/internal/money"
	"holdfast/internal/payment"
	"holdfast/internal/payment/sandbox"
	"holdfast/internal/problem"
)

// behaviour says how the sandbox treats an authorisation with a test method.
type behaviour struct {
	state payment.State
	code  payment.Code // of a decline

	// The first requests with a key do not learn the outcome: the first withheld ones get no answer, and the first
	// unavailable ones get 503. The caller learns the outcome when it repeats the request with the same key.
	withheld, unavailable int32
}

var behaviours = map[string]behaviour{
	sandbox.MethodOK:                {state: payment.Authorised},
	sandbox.MethodDeclined:          {state: payment.Declined, code: payment.CardDeclined},
	sandbox.MethodInsufficientFunds: {state: payment.Declined, code: payment.InsufficientFunds},
	sandbox.MethodTimeout:           {state: payment.Authorised, withheld: 1},
	sandbox.MethodFlaky:             {state: payment.Authorised, unavailable: 2},
	sandbox.MethodActionRequired:    {state: payment.RequiresAction},
}

// withheldFor is how long the sandbox keeps a request that gets no answer: longer than callers wait, and short enough
// for an orderly stop of the process.
const withheldFor = 11 * time.Second

var validKey = regexp.MustCompile(`^[A-Za-z0-9._-]{1,100}$`)

// checkAuthorisation returns why a request is not possible, or "".
func checkAuthorisation(in payment.Authorisation) payment.Code {
	_, known := behaviours[in.Method]
	_, currencyErr := money.Exponent(in.Amount.Currency)
	switch {
	case !validKey.MatchString(in.Key):
		return payment.InvalidKey
	case !known:
		return payment.UnknownMethod
	case in.Amount.Minor < 0 || currencyErr != nil:
		return payment.InvalidAmount
	case in.ReturnURL != "" && !isHTTP(in.ReturnURL):
		return payment.InvalidReturnURL
	}
	return ""
}

func (s *server) authorise(c *gin.Context) {
	var in payment.Authorisation
	if err := httpx.DecodeJSON(c, &in); err != nil {
		httpx.Fail(c, err)
		return
	}
	if code := checkAuthorisation(in); code != "" {
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeRefused, "%s", code))
		return
	}
	does := behaviours[in.Method]
	err := s.insert(c, in, does)
	var charge sandboxdb.Charge
	if err == nil {
		charge, err = s.q.CountAuthoriseRequest(c, s.pool, in.Key)
	}
	if err != nil {
		httpx.Fail(c, err)
		return
	}

	switch {
	case charge.AuthoriseRequests <= does.withheld:
		select {
		case <-c.Request.Context().Done():
		case <-time.After(withheldFor):
		}
		panic(http.ErrAbortHandler) // net/http's way to cut the connection
	case charge.AuthoriseRequests <= does.unavailable:
		httpx.Fail(c, problem.Common.New(problem.Unavailable,
			"the sandbox is flaky on purpose; ask again with the same key"))
		return
	}
	s.answerAuthorisation(c, in, charge)
}

// insert adds the charge if its key is new.
func (s *server) insert(c *gin.Context, in payment.Authorisation, does behaviour) error {
	token := pgtype.Text{String: rand.Text(), Valid: does.state == payment.RequiresAction}
	return s.change(c, func(db sandboxdb.DBTX) error {
		charge, err := s.q.InsertCharge(c, db, sandboxdb.InsertChargeParams{
			PaymentKey:        in.Key,
			ProviderRef:       newRef(),
			Method:            in.Method,
			AmountMinor:       in.Amount.Minor,
			Currency:          in.Amount.Currency,
			State:             string(does.state),
			DeclineReason:     string(does.code),
			Reference:         in.Reference,
			ReturnUrl:         in.ReturnURL,
			ActionToken:       token,
			AuthorisedSeconds: s.authorisedFor.Seconds(),
		})
		switch {
		case errors.Is(err, pgx.ErrNoRows):
			return nil // the key is known
		case err != nil:
			return err
		case does.state == payment.Authorised:
			return s.tell(c, db, charge, nil, payment.EventAuthorised)
		case does.state == payment.Declined:
			return s.tell(c, db, charge, nil, payment.EventFailed)
		}
		return nil
	})
}

func (s *server) answerAuthorisation(c *gin.Context, in payment.Authorisation, charge sandboxdb.Charge) {
	charge, err := s.settleLapsed(c, charge)
	if err != nil {
		httpx.Fail(c, err)
		return
	}
	amount := money.Amount{Minor: charge.AmountMinor, Currency: charge.Currency}
	switch {
	case charge.Method != "" && (charge.Method != in.Method || amount != in.Amount):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeKeyUsed,
			"the key names a payment by another method or of another amount"))
	case charge.State == string(payment.Declined):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeDeclined, "%s", charge.DeclineReason))
	case charge.State == string(payment.Voided):
		httpx.Fail(c, sandbox.Table.New(sandbox.CodeVoided, "the payment was voided before: %s", charge.VoidReason))
	default:
		c.JSON(http.StatusOK, s.wire(c, charge))
	}
}

// newRef makes the sandbox's own name of a payment.
func newRef() string { return "sbx_" + uuid.NewString() }
