package merchantwebhook

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"code.dny.dev/ssrf"
)

// maxURL bounds the length of a subscription's URL, in bytes.
const maxURL = 2048

// URLError says why a URL cannot be subscribed, in words for an operator.
type URLError struct{ Why string }

func (e *URLError) Error() string { return e.Why }

// Addresses decides where webhooks may go. They must not reach what only our own network can reach.
type Addresses struct {
	development bool
	allowed     func(network, address string, _ syscall.RawConn) error
}

// Networks that the registries of special addresses do not have: the metadata service of Azure has a public address,
// and 3fff::/20 is for documentation (RFC 9637).
var (
	alsoDenied4 = []netip.Prefix{netip.MustParsePrefix("168.63.129.16/32")}
	alsoDenied6 = []netip.Prefix{netip.MustParsePrefix("3fff::/20")}
)

// NewAddresses returns the rules of a configuration.
func NewAddresses(cfg Config) Addresses {
	denied4, denied6 := alsoDenied4, alsoDenied6
	for _, p := range cfg.DeniedNetworks {
		if p.Addr().Is4() {
			denied4 = append(denied4[:len(denied4):len(denied4)], p)
		} else {
			denied6 = append(denied6[:len(denied6):len(denied6)], p)
		}
	}
	guardian := ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(denied4...), ssrf.WithDeniedV6Prefixes(denied6...))
	return Addresses{development: cfg.Development, allowed: guardian.Safe}
}

// CheckURL refuses a URL to which no webhook could ever be sent. The error is a *URLError. A host name is not looked
// up: what it resolves to can change, so each connection is checked.
func (a Addresses) CheckURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || len(raw) > maxURL || u.Hostname() == "" || u.Opaque != "":
		return &URLError{fmt.Sprintf("expected a URL of at most %d characters as in https://shop.example/webhooks", maxURL)}
	case u.Scheme != "https" && (u.Scheme != "http" || !a.development):
		return &URLError{"use https, so that nobody on the way reads or changes the webhooks"}
	case u.User != nil:
		return &URLError{"leave out the user name and password; the signature proves who sends"}
	case u.Fragment != "" || strings.Contains(raw, "#"):
		return &URLError{"leave out the part behind #; it is never sent"}
	case a.development:
		return nil
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return &URLError{"localhost is the platform itself; use the receiver's public host name"}
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		if a.control("tcp", netip.AddrPortFrom(ip, 443).String(), nil) != nil {
			return &URLError{"this address is not on the public internet"}
		}
	}
	return nil
}

// ErrForbiddenAddress says that a receiver's host name resolves to an address inside our own network, or to no address
// of the public internet.
var ErrForbiddenAddress = errors.New("the receiver's address is not on the public internet")

// control refuses a connection before it is made. The dialer calls it with the address that it is about to connect to,
// after the name was resolved, so a name that resolves to something else each time (DNS rebinding) gains nothing.
func (a Addresses) control(_, address string, _ syscall.RawConn) error {
	if a.development {
		return nil
	}
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %s", ErrForbiddenAddress, address)
	}
	// An IPv4 address that is written as an IPv6 address is the IPv4 address.
	ip, network := at.Addr().Unmap(), "tcp4"
	if ip.Is6() {
		network = "tcp6"
	}
	if err := a.allowed(network, netip.AddrPortFrom(ip, at.Port()).String(), nil); err != nil {
		return fmt.Errorf("%w: %w", ErrForbiddenAddress, err)
	}
	return nil
}

const (
	dialTimeout = 5 * time.Second
	// maxAnswerHeader bounds the header of a receiver's answer, in bytes.
	maxAnswerHeader = 64 << 10
	idleTimeout     = 30 * time.Second
)

// client returns the HTTP client of the sender. It uses no proxy, because a proxy would make the connection in its
// place.
func (a Addresses) client(perHost int) *http.Client {
	dialer := &net.Dialer{Timeout: dialTimeout, Control: a.control}
	return &http.Client{Transport: &http.Transport{
		Proxy:                  nil,
		DialContext:            dialer.DialContext,
		ForceAttemptHTTP2:      true,
		TLSHandshakeTimeout:    dialTimeout,
		MaxIdleConnsPerHost:    perHost,
		IdleConnTimeout:        idleTimeout,
		MaxResponseHeaderBytes: maxAnswerHeader,
	}}
}
