package gateway

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"holdfast/internal/httpx"
	"holdfast/internal/servicekey"
)

// client is where a request comes from.
type client struct {
	address netip.Addr // of the end client; behind a trusted proxy, the address that the proxy names
	secure  bool       // the client's own connection is encrypted, as far as trusted proxies tell
	proto   string     // http or https
}

// clients finds out where requests come from.
type clients struct {
	trusted     []netip.Prefix // proxies
	serviceKeys [][sha256.Size]byte
}

func newClients(cfg Config) (*clients, error) {
	trusted, err := networks(cfg.TrustedProxies)
	if err != nil {
		return nil, err
	}
	c := &clients{trusted: trusted}
	for _, key := range cfg.ServiceKeys {
		c.serviceKeys = append(c.serviceKeys, sha256.Sum256([]byte(key)))
	}
	return c, nil
}

const clientKey = "holdfast.gateway.client"

// identify is a middleware that finds out where the request comes from, for clientOf and for the access log.
func (c *clients) identify(g *gin.Context) {
	found := c.of(g.Request)
	g.Set(clientKey, found)
	httpx.Annotate(g, "client_network", networkOf(found.address))
	g.Next()
}

// networkOf returns the network of an address as the access log has it, so that the log shows where many requests come
// from and names no person: 256 addresses of IPv4, or an IPv6 network as a provider gives it to a customer.
func networkOf(address netip.Addr) string {
	bits := 24
	if address.Is6() {
		bits = 48
	}
	prefix, err := address.Prefix(bits)
	if err != nil || !prefix.IsValid() {
		return "" // a test's recorder has no address
	}
	return prefix.String()
}

// clientOf returns what identify found.
func clientOf(g *gin.Context) client {
	found, _ := g.Get(clientKey)
	known, _ := found.(client)
	return known
}

// of reads X-Forwarded-For from its end: each trusted proxy has appended the address from which it was asked, and the
// first address that is not a trusted proxy's is the client. What stands before it is the client's own invention.
func (c *clients) of(r *http.Request) client {
	out := client{proto: "http", secure: r.TLS != nil}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return out // a test's recorder
	}
	out.address = peer.Addr().Unmap().WithZone("")
	if c.trusts(out.address) {
		if proto := r.Header.Values("X-Forwarded-Proto"); len(proto) == 1 && proto[0] == "https" {
			out.secure = true
		}
		hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
		for _, hop := range slices.Backward(hops) {
			address, err := netip.ParseAddr(strings.TrimSpace(hop))
			if err != nil {
				break // a proxy writes addresses; what cannot be read is not its own
			}
			if out.address = address.Unmap().WithZone(""); !c.trusts(out.address) {
				break
			}
		}
	}
	if out.secure {
		out.proto = "https"
	}
	return out
}

func (c *clients) trusts(address netip.Addr) bool {
	return slices.ContainsFunc(c.trusted, func(p netip.Prefix) bool { return p.Contains(address) })
}

// isService reports whether the request has a valid service key. It compares every key in constant time.
func (c *clients) isService(r *http.Request) bool {
	given := r.Header.Get(servicekey.Header)
	if given == "" {
		return false
	}
	sum := sha256.Sum256([]byte(given))
	found := 0
	for i := range c.serviceKeys {
		found |= subtle.ConstantTimeCompare(c.serviceKeys[i][:], sum[:])
	}
	return found == 1
}
