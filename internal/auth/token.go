package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// issued are the claims of a token that this package makes.
type issued struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// claims are the claims of a token that is verified. Its dates hide those of the library, which takes dates that a
// time.Time cannot hold and turns them into other dates.
type claims struct {
	Role    Role  `json:"role"`
	Expires *date `json:"exp"`
	Issued  *date `json:"iat"`
	Begins  *date `json:"nbf"`
	jwt.RegisteredClaims
}

// GetExpirationTime implements jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires.numeric(), nil }

// GetIssuedAt implements jwt.Claims.
func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) { return c.Issued.numeric(), nil }

// GetNotBefore implements jwt.Claims.
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return c.Begins.numeric(), nil }

// date is a number of seconds since 1970, which may have a fraction.
type date float64

// maxDate is the largest value that exp, iat and nbf may have: the last second of the year 9999.
const maxDate = 253402300799

var errDates = errors.New("its dates must be seconds since 1970, up to the year 9999")

// UnmarshalJSON implements json.Unmarshaler.
func (d *date) UnmarshalJSON(raw []byte) error {
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || seconds < 0 || seconds > maxDate {
		return errDates
	}
	*d = date(seconds)
	return nil
}

func (d *date) numeric() *jwt.NumericDate {
	if d == nil {
		return nil
	}
	seconds, fraction := math.Modf(float64(*d))
	return jwt.NewNumericDate(time.Unix(int64(seconds), int64(fraction*float64(time.Second))))
}

// Sign makes a token for subject that is valid for ttl from now. It needs the secret: an identity provider makes its
// tokens itself.
func Sign(c Config, subject string, role Role, ttl time.Duration) (string, error) {
	if c.Secret == "" {
		return "", errors.New("the token is not made: JWT_SECRET is not set, and only the identity provider at JWKS_URL " +
			"makes tokens")
	}
	if err := CheckSubject(subject); err != nil {
		return "", fmt.Errorf("the token is not made: %w", err)
	}
	if !slices.Contains(Roles(), role) {
		return "", fmt.Errorf("a token needs one of the roles %v", Roles())
	}
	now, method := time.Now(), jwt.GetSigningMethod(c.algorithms()[0])
	t := jwt.NewWithClaims(method, issued{Role: role, RegisteredClaims: jwt.RegisteredClaims{
		Issuer:    c.Issuer,
		Audience:  jwt.ClaimStrings{c.Audience},
		Subject:   subject,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}})
	return t.SignedString([]byte(c.Secret))
}

// Verifier checks the tokens of clients. It is safe for concurrent use.
type Verifier struct {
	key    jwt.Keyfunc
	ready  func(context.Context) error
	parser *jwt.Parser
	signed string // how a token must be signed, in words
	limit  gin.HandlerFunc
}

// NewVerifier returns a verifier for the key, algorithms, issuer and audience of c. It refuses a token without an
// expiry. With a key set it reads the keys once before it returns, and again while ctx lasts. It returns a verifier
// even if the key set does not answer (Ready).
func NewVerifier(ctx context.Context, c Config, log *slog.Logger) (*Verifier, error) {
	v := &Verifier{parser: jwt.NewParser(
		jwt.WithValidMethods(c.algorithms()),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithLeeway(c.Leeway),
	)}
	if c.JWKSURL == "" {
		v.key, v.signed = secretKeys(c), "the secret of this platform"
		v.ready = func(context.Context) error { return nil }
	} else {
		set, err := newKeySet(ctx, c, log)
		if err != nil {
			return nil, err
		}
		v.key, v.ready, v.signed = set.find, set.ready, "a key of this platform's identity provider"
	}
	v.signed = "it is not signed by " + strings.Join(c.algorithms(), " or ") + " with " + v.signed
	return v, nil
}

// secretKeys returns the secret and the one before it, if it is still accepted.
func secretKeys(c Config) jwt.Keyfunc {
	keys := jwt.VerificationKeySet{Keys: []jwt.VerificationKey{[]byte(c.Secret)}}
	if c.PreviousSecret != "" {
		keys.Keys = append(keys.Keys, []byte(c.PreviousSecret))
	}
	return func(*jwt.Token) (any, error) { return keys, nil }
}

// Ready returns an error while the verifier has no key, so that it cannot tell a valid token from others.
func (v *Verifier) Ready(ctx context.Context) error { return v.ready(ctx) }

// Verify returns the identity that the token names. The error is for the client that sent the token: it says in this
// package's own words what is wrong. It is ErrNoKeys if the fault is not the token's.
func (v *Verifier) Verify(token string) (Identity, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, v.key); err != nil {
		return Identity{}, v.refusal(err)
	}
	if err := CheckSubject(c.Subject); err != nil {
		return Identity{}, err
	}
	if !slices.Contains(Roles(), c.Role) {
		return Identity{}, fmt.Errorf("its role must be one of %v", Roles())
	}
	return Identity{Issuer: c.Issuer, Subject: c.Subject, Role: c.Role}, nil
}

// refusal says why the library refuses a token. It replaces the library's texts, because they quote the token and name
// Go types.
func (v *Verifier) refusal(err error) error {
	for _, r := range []struct {
		kind  error
		words string
	}{
		{errDates, errDates.Error()},
		{jwt.ErrTokenMalformed, "it is not a JSON Web Token of three parts with a header and claims in JSON"},
		{errKeyUnknown, errKeyUnknown.Error()},
		{jwt.ErrTokenUnverifiable, v.signed},
		{jwt.ErrTokenSignatureInvalid, v.signed},
		{jwt.ErrTokenRequiredClaimMissing, "it has no exp, iss or aud"},
		{jwt.ErrTokenExpired, "it has expired; get a new one"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet (nbf)"},
		{jwt.ErrTokenUsedBeforeIssued, "it is issued in the future (iat)"},
		{jwt.ErrTokenInvalidIssuer, "its issuer (iss) is not the one of this platform"},
		{jwt.ErrTokenInvalidAudience, "its audience (aud) is not this platform"},
	} {
		switch {
		case errors.Is(err, ErrNoKeys):
			return ErrNoKeys
		case errors.Is(err, r.kind):
			return errors.New(r.words)
		}
	}
	return errors.New("its claims cannot be read")
}

// LimitRefusals makes Require call limit before it answers 401. If limit itself answers the request, that is the
// answer.
func (v *Verifier) LimitRefusals(limit gin.HandlerFunc) { v.limit = limit }

// refuse answers a request whose sender is unknown, unless limit does.
func refuse(c *gin.Context, limit gin.HandlerFunc, err error) {
	if limit != nil {
		if limit(c); c.IsAborted() {
			return
		}
	}
	httpx.Fail(c, err)
}

// Require is a middleware that refuses a request without a valid bearer token.
func (v *Verifier) Require(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		refuse(c, v.limit, problem.Common.New(problem.Unauthenticated, "send a token as \"Authorization: Bearer …\""))
		return
	}

	id, err := v.Verify(strings.TrimSpace(token))
	switch {
	case errors.Is(err, ErrNoKeys):
		httpx.Fail(c, problem.Common.New(problem.Unavailable, "tokens cannot be verified now; send the same request again"))
	case err != nil:
		refuse(c, v.limit, problem.Common.New(problem.Unauthenticated, "the token is not accepted: %s", err))
	default:
		c.Set(identityKey, id)
		c.Next()
	}
}
