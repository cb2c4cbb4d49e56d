// Package auth says who a request comes from: JSON Web Tokens signed with a shared secret, verified at
// the gateway and again by each service behind it, so that no service has to trust a header.
package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/golang-jwt/jwt/v5"

	"holdfast/internal/httpx"
	"holdfast/internal/problem"
)

// minSecret is the least length of the secret in bytes: HS256 wants as many as its hash has (RFC 7518, 3.2).
const minSecret = 32

// Config says which tokens are believed.
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

// Sign makes a token for subject that is valid for ttl from now.
func Sign(c Config, subject string, role Role, ttl time.Duration) (string, error) {
	if subject == "" || !slices.Contains(Roles(), role) {
		return "", fmt.Errorf("a token needs a subject and one of the roles %v", Roles())
	}
	now := time.Now()
	t := jwt.NewWithClaims(jwt.SigningMethodHS256, claims{Role: role, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: c.Issuer, Audience: jwt.ClaimStrings{c.Audience}, Subject: subject,
		IssuedAt: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
	}})
	return t.SignedString([]byte(c.Secret))
}

// Verifier checks tokens.
type Verifier struct {
	secret []byte
	parser *jwt.Parser
}

// NewVerifier returns a verifier that believes what c says. A token without an expiry is refused.
func NewVerifier(c Config) *Verifier {
	return &Verifier{secret: []byte(c.Secret), parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt(),
		jwt.WithIssuer(c.Issuer), jwt.WithAudience(c.Audience),
		jwt.WithLeeway(5*time.Second),
	)}
}

// Verify returns whose token it is.
func (v *Verifier) Verify(token string) (Identity, error) {
	var c claims
	if _, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.secret, nil }); err != nil {
		return Identity{}, err
	}
	if c.Subject == "" || len(c.Subject) > 255 || !utf8.ValidString(c.Subject) || strings.ContainsFunc(c.Subject, unicode.IsControl) {
		return Identity{}, errors.New("the token names no usable subject: 1 to 255 bytes of UTF-8 without control characters")
	}
	if !slices.Contains(Roles(), c.Role) {
		return Identity{}, fmt.Errorf("the token's role must be one of %v", Roles())
	}
	return Identity{Issuer: c.Issuer, Subject: c.Subject, Role: c.Role}, nil
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

// RequireOperator is a middleware that refuses whoever may not see what belongs to others. It follows
// Require.
func RequireOperator(c *gin.Context) {
	if !From(c).Operates() {
		httpx.Fail(c, problem.Common.New(problem.Forbidden, "only operators may do this"))
	}
}

// From returns the identity that Require found.
func From(c *gin.Context) Identity {
	id, _ := c.MustGet(identityKey).(Identity)
	return id
}
