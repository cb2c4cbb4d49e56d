package gateway

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"holdfast/internal/auth"
	"holdfast/internal/ratelimit"
	"holdfast/internal/redisclient"
	"holdfast/internal/servicetoken"
)

// Config is the gateway's configuration, from the environment. docs/guides/gateway.md explains every variable.
type Config struct {
	Listen        string   `env:"GATEWAY_LISTEN" envDefault:":3000"`
	PrivateListen string   `env:"GATEWAY_PRIVATE_LISTEN" envDefault:"127.0.0.1:9092"` // /ready and /metrics
	APIURL        []string `env:"API_URL" envDefault:"http://127.0.0.1:3001"`
	InventoryURL  []string `env:"INVENTORY_URL" envDefault:"http://127.0.0.1:8080"`
	EventsURL     []string `env:"EVENTS_URL" envDefault:"http://127.0.0.1:9091"`
	ServiceKeys   []string `env:"SERVICE_API_KEYS,required,notEmpty"`
	// TrustedProxies are the addresses and networks whose X-Forwarded-For and X-Forwarded-Proto are believed.
	TrustedProxies []string `env:"TRUSTED_PROXIES"`
	Internal       servicetoken.Config
	Auth           auth.Config
	Upstream       UpstreamConfig
	Limits         LimitConfig
	CORS           CORSConfig
	Redis          redisclient.Config
}

// UpstreamConfig says how the gateway treats the services behind it.
type UpstreamConfig struct {
	HealthInterval time.Duration `env:"GATEWAY_HEALTH_INTERVAL" envDefault:"1s"`
	BreakerPercent int           `env:"GATEWAY_BREAKER_PERCENT" envDefault:"50"`
	BreakerOpen    time.Duration `env:"GATEWAY_BREAKER_OPEN" envDefault:"30s"`
}

// LimitConfig says how many requests a client may send in a minute, for each class of routes. 0 means no limit.
type LimitConfig struct {
	ratelimit.Config
	Orders   int `env:"RATE_LIMIT_ORDERS" envDefault:"60"`
	Admin    int `env:"RATE_LIMIT_ADMIN" envDefault:"600"`
	Webhooks int `env:"RATE_LIMIT_WEBHOOKS" envDefault:"6000"`
	// Unauthenticated limits the requests of an address that are answered 401.
	Unauthenticated int `env:"RATE_LIMIT_UNAUTHENTICATED" envDefault:"100"`
}

// CORSConfig says which web pages of other origins may use the interface.
type CORSConfig struct {
	Origins     []string `env:"CORS_ORIGINS"`
	Credentials bool     `env:"CORS_CREDENTIALS" envDefault:"false"`
}

// Validate checks the rules that the tags cannot express, and reports all faults together.
func (c Config) Validate() error {
	var faults []error
	for _, v := range []struct {
		name      string
		addresses []string
	}{
		{"API_URL", c.APIURL},
		{"INVENTORY_URL", c.InventoryURL},
		{"EVENTS_URL", c.EventsURL},
	} {
		if len(v.addresses) == 0 || slices.ContainsFunc(v.addresses, func(raw string) bool { return !isAddress(raw) }) {
			faults = append(faults, fmt.Errorf("%s must be an address as in http://127.0.0.1:3001, "+
				"or several separated by commas, without a path", v.name))
		}
		if len(slices.Compact(slices.Sorted(slices.Values(v.addresses)))) < len(v.addresses) {
			faults = append(faults, fmt.Errorf("%s has the same address twice", v.name))
		}
	}
	if _, err := networks(c.TrustedProxies); err != nil {
		faults = append(faults, fmt.Errorf("TRUSTED_PROXIES: %w", err))
	}
	return errors.Join(faults...)
}

// isAddress reports whether raw is the address of an HTTP server and nothing more.
func isAddress(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Host != "" && (u.Scheme == "http" || u.Scheme == "https") &&
		strings.Trim(u.Path, "/") == "" && u.RawQuery == "" && u.User == nil
}

// networks reads addresses and networks in CIDR notation.
func networks(texts []string) ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil {
			out = append(out, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network as in 10.0.0.0/8", text)
		}
		out = append(out, network.Masked())
	}
	return out, nil
}

// Validate reports every fault.
func (c UpstreamConfig) Validate() error {
	var faults []error
	if c.HealthInterval <= 0 {
		faults = append(faults, errors.New("GATEWAY_HEALTH_INTERVAL must be more than 0"))
	}
	if c.BreakerPercent < 1 || c.BreakerPercent > 100 {
		faults = append(faults, errors.New("GATEWAY_BREAKER_PERCENT must be 1 to 100"))
	}
	if c.BreakerOpen <= 0 {
		faults = append(faults, errors.New("GATEWAY_BREAKER_OPEN must be more than 0"))
	}
	return errors.Join(faults...)
}

// Validate reports every fault.
func (c LimitConfig) Validate() error {
	return errors.Join(
		c.Config.Validate(),
		ratelimit.CheckLimit("RATE_LIMIT_ORDERS", c.Orders),
		ratelimit.CheckLimit("RATE_LIMIT_ADMIN", c.Admin),
		ratelimit.CheckLimit("RATE_LIMIT_WEBHOOKS", c.Webhooks),
		ratelimit.CheckLimit("RATE_LIMIT_UNAUTHENTICATED", c.Unauthenticated),
	)
}

// Validate reports an origin that a browser would never send, and "*", which would let every web page in.
func (c CORSConfig) Validate() error {
	for _, origin := range c.Origins {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.Contains(origin, "*") ||
			strings.ToLower(origin) != origin {
			return fmt.Errorf("CORS_ORIGINS: %q is not an origin as in https://shop.example; "+
				"name each one exactly, in lower case and without a path", origin)
		}
	}
	return nil
}
