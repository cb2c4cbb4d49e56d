package inventory_test

import (
	"math/rand/v2"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/ratelimit"
	"holdfast/internal/servicekey"
	"holdfast/inventory"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

// TestStrangersAreLimited: an address without a valid token or key gets 401, and 429 once it has sent too many, counted
// apart for reads and writes. Our own services at the same address have no limit.
func TestStrangersAreLimited(t *testing.T) {
	t.Parallel()
	for name, redis := range map[string]string{"counted in Redis": testenv.Redis(t), "counted alone": ""} {
		t.Run(name, func(t *testing.T) {
			database, pool := inventorytest.NewDatabase(t)
			base := inventorytest.StartProcessWith(t, database, func(cfg *inventory.Config) {
				cfg.Redis.URL = redis
				cfg.Limits = ratelimit.Config{Reads: 3, Writes: 2, RedisTimeout: 10 * time.Second}
			})
			// Another address for each run, because the counts in Redis outlive a test.
			from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(
				127, byte(rand.N(256)), byte(rand.N(256)), byte(1+rand.N(254)))}}
			send := func(method, key string) *http.Response {
				t.Helper()
				req, err := http.NewRequestWithContext(t.Context(), method, base+"/api/inventory/reserve/"+uuid.NewString(), nil)
				require.NoError(t, err)
				req.Header.Set(servicekey.Header, key)
				transport := &http.Transport{DisableKeepAlives: true, DialContext: from.DialContext}
				res, err := (&http.Client{Transport: transport}).Do(req)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				return res
			}

			for method, limit := range map[string]int{http.MethodGet: 3, http.MethodDelete: 2} {
				for range limit {
					require.Equal(t, http.StatusUnauthorized, send(method, "guess").StatusCode, method)
				}
				refused := send(method, "")
				require.Equal(t, http.StatusTooManyRequests, refused.StatusCode, method)
				require.NotEmpty(t, refused.Header.Get("Retry-After"))
			}
			for range 5 {
				require.Equal(t, http.StatusNotFound, send(http.MethodGet, inventorytest.ServiceKey).StatusCode)
			}
			ours := inventorytest.NewSubject(t, inventorytest.NewClient(t, base), pool)
			product := ours.Stock(t, 10)
			for range 5 {
				_, err := ours.API.Reserve(t.Context(), inventorytest.NewReserve(inventorytest.Line(product, 1)))
				require.NoError(t, err)
			}
		})
	}
}
