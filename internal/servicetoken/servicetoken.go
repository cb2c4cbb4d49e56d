// Package servicetoken makes and verifies internal tokens: short-lived JSON Web Tokens with which one of our services
// calls another. A token says which service calls, which service it calls, and for whom it acts (ADR 20).
package servicetoken

import (
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Header carries the token.
const Header = "X-Internal-Token"

// The services that accept internal tokens. A token for one of them is refused by the others.
const (
	API       = "api"
	Inventory = "inventory"
	Events    = "events"
)

const (
	// life is how long a token is valid. A token is verified when the request arrives, so this bounds the way to the
	// service and not the work there.
	life = time.Minute

	// leeway is how much the clocks of two services may differ.
	leeway = 5 * time.Second

	// minSecret is the least length of a secret in bytes: HS256 wants as many as its hash has (RFC 7518, 3.2).
	minSecret = 32
)

// Config has the secrets that all services share.
type Config struct {
	// Secrets sign internal tokens: the first signs, and all are accepted, so that an operator can change them while the
	// services run.
	Secrets []string `env:"INTERNAL_TOKEN_SECRETS,required,notEmpty"`
}

// Validate reports a secret that is too short to be one.
func (c Config) Validate() error {
	for _, s := range c.Secrets {
		if len(s) < minSecret {
			return fmt.Errorf("INTERNAL_TOKEN_SECRETS: each secret must have at least %d bytes", minSecret)
		}
	}
	return nil
}

// Caller is who calls a service.
type Caller struct {
	// Service is the calling service, as in "gateway".
	Service string

	// Subject is for whom the service acts: a user, or an actor of the platform such as "system". It is empty if the
	// service acts for itself.
	Subject string

	// Issuer is the issuer of the user's own token. It is empty if the service did not verify one.
	Issuer string

	// Role is the user's role. A caller with a role may do what that role may do; a caller without one may do what our
	// own services may do. The gateway always sets it.
	Role string
}

// claims are the payload of a token: iss is the calling service, aud the called one, sub the user.
type claims struct {
	UserIssuer string `json:"user_iss,omitempty"`
	Role       string `json:"role,omitempty"`
	jwt.RegisteredClaims
}

// Signer makes the tokens of one service. It is safe for concurrent use.
type Signer struct {
	service string
	secret  []byte
}

// NewSigner returns the signer of the given service, which signs with the first secret.
func NewSigner(c Config, service string) *Signer {
	return &Signer{service: service, secret: []byte(c.Secrets[0])}
}

// Sign returns a token with which the signer's service calls the service audience. It ignores the caller's Service.
func (s *Signer) Sign(audience string, as Caller) (string, error) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, &claims{
		UserIssuer: as.Issuer,
		Role:       as.Role,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer:    s.service,
			Audience:  jwt.ClaimStrings{audience},
			Subject:   as.Subject,
			IssuedAt:  jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(life)),
		},
	}).SignedString(s.secret)
	if err != nil {
		return "", fmt.Errorf("sign an internal token: %w", err)
	}
	return token, nil
}

// Verifier checks the tokens that are meant for one service. It is safe for concurrent use.
type Verifier struct {
	keys   jwt.VerificationKeySet
	parser *jwt.Parser
}

// NewVerifier returns a verifier of the tokens for the service audience. It accepts every secret of c.
func NewVerifier(c Config, audience string) *Verifier {
	v := &Verifier{parser: jwt.NewParser(
		jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithAudience(audience),
		jwt.WithLeeway(leeway),
	)}
	for _, s := range c.Secrets {
		v.keys.Keys = append(v.keys.Keys, []byte(s))
	}
	return v
}

// errRefused hides why a token is refused: our own services always send a valid one, and another sender shall not learn
// how close it is. The cause is in the log.
var errRefused = errors.New("the internal token is not accepted")

// Verify returns who made the token. The error wraps the cause, for the log.
func (v *Verifier) Verify(token string) (Caller, error) {
	var c claims
	_, err := v.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return v.keys, nil })
	switch {
	case err != nil:
		return Caller{}, fmt.Errorf("%w: %w", errRefused, err)
	case c.Issuer == "":
		return Caller{}, fmt.Errorf("%w: it names no service", errRefused)
	case c.IssuedAt == nil || c.ExpiresAt.Sub(c.IssuedAt.Time) > life:
		return Caller{}, fmt.Errorf("%w: it is valid for too long", errRefused)
	}
	return Caller{Service: c.Issuer, Subject: c.Subject, Issuer: c.UserIssuer, Role: c.Role}, nil
}
