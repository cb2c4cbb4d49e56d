package auth

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"
)

// minSecret is the least length of a secret in bytes: HS256 wants as many as its hash has (RFC 7518, 3.2).
const minSecret = 32

// maxLeeway bounds the difference of clocks that can be configured: within it, a token lives longer than it says.
const maxLeeway = 5 * time.Minute

// Config says which tokens of clients are accepted: those signed with a secret, or those of an identity provider that
// publishes its keys as a JSON Web Key Set.
type Config struct {
	// Secret signs tokens and verifies them. PreviousSecret only verifies, so that an operator can change the secret while
	// tokens that it signed are in use.
	Secret         string `env:"JWT_SECRET"`
	PreviousSecret string `env:"JWT_SECRET_PREVIOUS"`

	// JWKSURL is the address of the key set, instead of a secret. Refresh is how often it is read.
	JWKSURL string        `env:"JWKS_URL"`
	Refresh time.Duration `env:"JWKS_REFRESH" envDefault:"15m"`

	// Algorithms are the accepted signatures, HS256 for a secret and RS256 and ES256 for a key set by default. They are
	// of one family: a key set never accepts a signature made with a secret.
	Algorithms []string      `env:"JWT_ALGORITHMS"`
	Issuer     string        `env:"JWT_ISSUER" envDefault:"holdfast"`
	Audience   string        `env:"JWT_AUDIENCE" envDefault:"holdfast"`
	Leeway     time.Duration `env:"JWT_LEEWAY" envDefault:"5s"` // how much the clocks may differ
}

var (
	secretAlgorithms = []string{"HS256", "HS384", "HS512"}
	keySetAlgorithms = []string{
		"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
	}
)

// algorithms returns the accepted algorithms; the first signs.
func (c Config) algorithms() []string {
	switch {
	case len(c.Algorithms) > 0:
		return c.Algorithms
	case c.JWKSURL != "":
		return []string{"RS256", "ES256"}
	}
	return []string{"HS256"}
}

// Validate reports every fault.
func (c Config) Validate() error {
	var faults []error
	known := secretAlgorithms
	switch {
	case c.Secret == "" && c.JWKSURL == "":
		faults = append(faults, errors.New("JWT_SECRET is not set; set it, or JWKS_URL"))
	case c.Secret != "" && c.JWKSURL != "":
		faults = append(faults, errors.New("JWT_SECRET and JWKS_URL are both set; set one of them"))
	case c.Secret != "" && len(c.Secret) < minSecret:
		faults = append(faults, fmt.Errorf("JWT_SECRET must have at least %d bytes", minSecret))
	case c.JWKSURL != "":
		known = keySetAlgorithms
		faults = append(faults, checkKeySetURL(c.JWKSURL))
		if c.Refresh < time.Minute {
			faults = append(faults, fmt.Errorf("JWKS_REFRESH is %s; it is at least 1m", c.Refresh))
		}
	}
	if c.PreviousSecret != "" && (c.JWKSURL != "" || len(c.PreviousSecret) < minSecret) {
		faults = append(faults, fmt.Errorf(
			"JWT_SECRET_PREVIOUS must have at least %d bytes, and belongs to JWT_SECRET", minSecret))
	}
	for _, name := range c.algorithms() {
		if !slices.Contains(known, name) {
			faults = append(faults, fmt.Errorf("JWT_ALGORITHMS has %q; here it may have %s", name, strings.Join(known, ", ")))
		}
	}
	if c.Leeway < 0 || c.Leeway > maxLeeway {
		faults = append(faults, fmt.Errorf("JWT_LEEWAY is %s; it lies between 0s and %s", c.Leeway, maxLeeway))
	}
	return errors.Join(faults...)
}

// checkKeySetURL refuses an address over which another machine could send its own keys.
func checkKeySetURL(raw string) error {
	u, err := url.Parse(raw)
	if err == nil && u.Host != "" {
		ip := net.ParseIP(u.Hostname())
		local := u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
		if u.Scheme == "https" || u.Scheme == "http" && local {
			return nil
		}
	}
	return errors.New("JWKS_URL must be an https address; http is for this machine's own addresses")
}
