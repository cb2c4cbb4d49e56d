package merchantwebhook

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestURLs: what can never be sent to is refused when an operator subscribes it.
func TestURLs(t *testing.T) {
	t.Parallel()
	public := NewAddresses(Config{})
	for _, raw := range []string{
		"https://shop.example/webhooks?source=holdfast",
		"https://shop.example:8443",
		"https://93.184.215.14/",
		"https://[2606:2800:21f:cb07:6820:80da:af6b:8b2c]/",
	} {
		require.NoError(t, public.CheckURL(raw), raw)
	}

	for raw, why := range map[string]string{
		"":                      "expected a URL",
		"shop.example/webhooks": "expected a URL",
		"https:shop.example":    "expected a URL",
		"https://":              "expected a URL",
		"https://%":             "expected a URL",
		"https://a/" + strings.Repeat("x", maxURL): "expected a URL",
		"http://shop.example/":                     "use https",
		"ftp://shop.example/":                      "use https",
		"https://user@shop.example/":               "user name",
		"https://user:secret@shop.example":         "user name",
		"https://shop.example/#part":               "behind #",
		"https://shop.example/#":                   "behind #",
		"https://localhost/":                       "public host name",
		"https://LOCALHOST./":                      "public host name",
		"https://api.localhost/":                   "public host name",
		"https://127.0.0.1/":                       "public internet",
		"https://10.1.2.3/":                        "public internet",
		"https://169.254.169.254/latest":           "public internet",
		"https://[::1]/":                           "public internet",
		"https://[::ffff:10.0.0.1]/":               "public internet",
		"https://[fe80::1%25eth0]/":                "public internet",
	} {
		err := public.CheckURL(raw)
		var wrong *URLError
		require.ErrorAs(t, err, &wrong, raw)
		require.Contains(t, wrong.Why, why, raw)
	}

	development := NewAddresses(Config{Development: true})
	require.NoError(t, development.CheckURL("http://127.0.0.1:8080/hooks"))
	require.Error(t, development.CheckURL("ftp://127.0.0.1/"))
	require.Error(t, development.CheckURL("http://user@127.0.0.1/"))
}

// TestNoAddressInsideOurNetwork: the dialer connects to the public internet only.
func TestNoAddressInsideOurNetwork(t *testing.T) {
	t.Parallel()
	a := NewAddresses(Config{DeniedNetworks: []netip.Prefix{
		netip.MustParsePrefix("93.184.215.0/24"), netip.MustParsePrefix("2606:2800:21f::/48"),
	}})
	for _, ip := range []string{"1.1.1.1", "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111", "::ffff:8.8.8.8"} {
		require.NoError(t, a.control("tcp", net.JoinHostPort(ip, "443"), nil), ip)
	}

	for _, ip := range []string{
		"127.0.0.1", "127.1.2.3", "0.0.0.0", // this machine
		"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", // private
		"169.254.0.1", "169.254.169.254", "168.63.129.16", "192.0.0.192", // link-local, metadata
		"100.64.0.1", "100.100.100.200", "100.127.255.255", // carrier-grade NAT
		"224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1", "192.0.2.1", // not of the internet
		"::1", "::", "fe80::1", "fe80::1%lo", "fc00::1", "fd00:ec2::254", "ff02::1", // as above
		"::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", // IPv4 in the form of IPv6
		"::127.0.0.1", "64:ff9b::a00:1", "2002:a00:1::1", "2001::1", "2001:db8::1", "3fff::1", "fec0::1", // leads elsewhere
		"93.184.215.14", "2606:2800:21f::1", // public and ours
	} {
		err := a.control("tcp", net.JoinHostPort(ip, "443"), nil)
		require.ErrorIs(t, err, ErrForbiddenAddress, ip)
	}
	require.ErrorIs(t, a.control("tcp", "nonsense", nil), ErrForbiddenAddress)
}

// TestNameThatLeadsInside: a public name may resolve to an address inside, or do so only at the second look-up. The
// address of the connection counts.
func TestNameThatLeadsInside(t *testing.T) {
	t.Parallel()
	var connections atomic.Int32
	inside := httptest.NewUnstartedServer(http.NotFoundHandler())
	inside.Config.ConnState = func(net.Conn, http.ConnState) { connections.Add(1) }
	inside.StartTLS()
	t.Cleanup(inside.Close)
	_, port, err := net.SplitHostPort(inside.Listener.Addr().String())
	require.NoError(t, err)

	client := NewAddresses(Config{}).client(1)
	t.Cleanup(client.CloseIdleConnections)
	for _, host := range []string{"localhost", "127.0.0.1", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://"+host+":"+port, nil)
		require.NoError(t, err)
		res, err := client.Do(req)
		if err == nil {
			_ = res.Body.Close()
		}
		require.Error(t, err, host)
		if host == "localhost" || strings.Contains(host, "127.0.0.1") {
			require.ErrorIs(t, err, ErrForbiddenAddress, host)
		}
	}
	require.Zero(t, connections.Load())
	require.Nil(t, client.Transport.(*http.Transport).Proxy, "a proxy would connect in the client's place")
}
