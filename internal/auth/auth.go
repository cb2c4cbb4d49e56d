// Package auth says who a request comes from: JSON Web Tokens signed with a shared secret, verified at the gateway and
// again by the api. Inventory verifies no token: it believes the services that have a key (ADR 3).
package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
	"holdfast/internal/text"
)

// minSecret is the least length of the secret in bytes: HS256 wants as many as its hash has (RFC 7518, 3.2).
const minSecret = 32

// Config says which tokens are accepted.
type Config struct {
	Secret   string `env:"JWT_SECRET,required,notEmpty"`
	Issuer   string `env:"JWT_ISSUER" envDefault:"holdfast"`
	Audience string `env:"JWT_AUDIENCE" envDefault:"holdfast"`
}

// Validate reports a secret that is too short to be one.
func (c Config) Validate() error {
	if len(c.Secret) < minSecret {
		return fmt.Errorf("JWT_SECRET must have at least %d bytes", minSecret)
	}
	return nil
}

// Role says what an identity may do.
type Role string

// The roles. Each may do what those before it may.
const (
	Customer Role = "customer"
	Operator Role = "operator"
	Admin    Role = "admin"
)

// Roles lists all roles.
func Roles() []Role { return []Role{Customer, Operator, Admin} }

// Identity is who a request comes from.
type Identity struct {
	Issuer  string
	Subject string
	Role    Role
}

// Operates reports whether the identity may act on what belongs to others.
func (i Identity) Operates() bool { return i.Role == Operator || i.Role == Admin }

// MaySee reports whether the identity may see what belongs to the given customer.
func (i Identity) MaySee(issuer, customer string) bool {
	return i.Operates() || (i.Subject == customer && i.Issuer == issuer)
}

type claims struct {
	Role Role `json:"role"`
	jwt.RegisteredClaims
}

// maxDate is the largest value that exp, iat and nbf may have: the last second of the year 9999.
const maxDate = 253402300799

var errDates = errors.New("its dates must be seconds since 1970, up to the year 9999")

// UnmarshalJSON refuses dates that a time.Time cannot hold: the conversion would turn them into other dates.
func (c *claims) UnmarshalJSON(raw []byte) error {
	var dates struct {
		Expires *float64 `json:"exp"`
		Issued  *float64 `json:"iat"`
		Begins  *float64 `json:"nbf"`
	}
	if json.Unmarshal(raw, &dates) != nil {
		return errDates
	}
	for _, date := range []*float64{dates.Expires, dates.Issued, dates.Begins} {
		if date != nil && (*date < 0 || *date > maxDate) {
			return errDates
		}
	}
	type plain claims // without this method
	return json.Unmarshal(raw, (*plain)(c))
}

// reserved are the names of actors that are not users: the platform itself and Temporal's own tools. A token with one
// of these subjects would make a timeline show a customer's act as an act of the platform.
var reserved = []string{"system", "temporal-operator"}

// checkSubject refuses a subject that the database cannot record as it is, and the names of the platform's own actors.
func checkSubject(subject string) error {
	_, unfit := text.Unfit(subject)
	switch {
	case subject == "" || len(subject) > 255 || !utf8.ValidString(subject) || unfit:
		return errors.New("its subject must have 1 to 255 bytes of UTF-8 without control or direction characters")
	case slices.Contains(reserved, strings.ToLower(strings.TrimSpace(subject))):
		return fmt.Errorf("its subject is reserved: %s are the platform's own actors", strings.Join(reserved, " and "))
	}
	return nil
}

// Sign makes a token for subject that is valid for ttl from now.
func Sign(c Config, subject string, role Role, ttl time.Duration) (string, error) {
	if err := checkSubject(subject); err != nil {
		return "", fmt.Errorf("the token is not made: %w", err)
	}
	if !slices.Contains(Roles(), role) {
		return "", fmt.Errorf("a token needs one of the roles %v", Roles())
	}
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Role: role, RegisteredClaims: jwt.RegisteredClaims{
		Issuer:    c.Issuer,
		Audience:  jwt.ClaimStrings{c.Audience},
		Subject:   subject,
		IssuedAt:  jwt.NewNumericDate(now),
		ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}})
	return t.SignedString([]byte(c.Secret))
}

// Verifier checks tokens.
type Verifier struct {
	secret []byte
	parser *jwt.Parser
}

// NewVerifier returns a verifier for the secret, issuer and audience of c. It refuses a token without an expiry.
func NewVerifier(c Config) *Verifier {
	return &Verifier{secret: []byte(c.Secret), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithLeeway(5*time.Second),
	)}
}

// Verify returns the identity that the token names. The error is for the client that sent the token: it says in this
// package's own words what is wrong.
func (v *Verifier) Verify(token string) (Identity, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.secret, nil }); err != nil {
		return Identity{}, refusal(err)
	}
	if err := checkSubject(c.Subject); err != nil {
		return Identity{}, err
	}
	if !slices.Contains(Roles(), c.Role) {
		return Identity{}, fmt.Errorf("its role must be one of %v", Roles())
	}
	return Identity{Issuer: c.Issuer, Subject: c.Subject, Role: c.Role}, nil
}

// refusal says why the library refuses a token. It replaces the library's texts, because they quote the token and name
// Go types.
func refusal(err error) error {
	for _, r := range []struct {
		kind  error
		words string
	}{
		{errDates, errDates.Error()},
		{jwt.ErrTokenMalformed, "it is not a JSON Web Token of three parts with a header and claims in JSON"},
		{jwt.ErrTokenUnverifiable, "it is not signed by HS256"},
		{jwt.ErrTokenSignatureInvalid, "it is not signed by HS256 with the secret of this platform"},
		{jwt.ErrTokenRequiredClaimMissing, "it has no exp, iss or aud"},
		{jwt.ErrTokenExpired, "it has expired; get a new one"},
		{jwt.ErrTokenNotValidYet, "it is not valid yet (nbf)"},
		{jwt.ErrTokenUsedBeforeIssued, "it is issued in the future (iat)"},
		{jwt.ErrTokenInvalidIssuer, "its issuer (iss) is not the one of this platform"},
		{jwt.ErrTokenInvalidAudience, "its audience (aud) is not this platform"},
	} {
		if errors.Is(err, r.kind) {
			return errors.New(r.words)
		}
	}
	return errors.New("its claims cannot be read")
}

const identityKey = "holdfast.identity"

// Require is a middleware that refuses a request without a valid bearer token.
func (v *Verifier) Require(c *gin.Context) {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || token == "" {
		httpx.Fail(c, problem.Common.New(problem.Unauthenticated, "send a token as \"Authorization: Bearer …\""))
		return
	}

	id, err := v.Verify(strings.TrimSpace(token))
	if err != nil {
		httpx.Fail(c, problem.Common.New(problem.Unauthenticated, "the token is not accepted: %s", err))
		return
	}
	c.Set(identityKey, id)
	c.Next()
}

// From returns the identity that Require found.
func From(c *gin.Context) Identity {
	id, _ := c.MustGet(identityKey).(Identity)
	return id
}
