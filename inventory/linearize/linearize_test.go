package linearize_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"holdfast/inventory"
	"holdfast/inventory/cache"
	"holdfast/inventory/inventorytest"
	"holdfast/tests/fault"
	"holdfast/tests/testenv"
)

// How much is done to each product, by clients at the same time.
const (
	linearProducts   = 3
	linearClients    = 5
	linearOperations = 50
)

// linearRun is a database with replicas of the service and what clients were told about some products.
type linearRun struct {
	subject inventorytest.Subject
	shelves []*historian
}

func newLinearRun(t *testing.T, pool *pgxpool.Pool, replicas []replica, cached bool) *linearRun {
	t.Helper()
	r := &linearRun{subject: inventorytest.NewSubject(t, replicas[0], pool)}
	for i := range linearProducts {
		r.shelves = append(r.shelves, newHistorian(t, r.subject, int64(4+3*i), replicas, cached))
	}
	return r
}

// run has the clients work, and faults happen every so many operations.
func (r *linearRun) run(t *testing.T, trouble func(n int)) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var others sync.WaitGroup
	others.Go(func() {
		for n := 1; ctx.Err() == nil; n++ {
			for r.asked() < int64(25*n) && ctx.Err() == nil {
				time.Sleep(200 * time.Microsecond)
			}
			trouble(n)
		}
	})
	inventorytest.Together(linearProducts*linearClients, func(i int) {
		r.shelves[i%linearProducts].client(t, linearOperations, linearClients*linearOperations)
	})
	stop()
	others.Wait()
}

func (r *linearRun) asked() (n int64) {
	for _, h := range r.shelves {
		n += h.asked.Load()
	}
	return n
}

// settle looks at everything once more and holds it against the specification. Every replica must have
// stopped; what the database was told by connections that broke it may still be doing.
func (r *linearRun) settle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		var busy int
		err := r.subject.Pool.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity
			WHERE datname = current_database() AND pid <> pg_backend_pid() AND state <> 'idle'`).Scan(&busy)
		return err == nil && busy == 0
	}, 10*time.Second, time.Millisecond)
	last := inventory.New(inventory.Options{Pool: r.subject.Pool})
	defer last.Close()
	for _, h := range r.shelves {
		h.close(t, last)
		require.Equal(t, porcupine.Ok, h.check(t))
	}
	inventorytest.RequireConsistent(t, r.subject.Pool)
}

// forgetReads takes out the reads of availability.
func (r *linearRun) forgetReads() {
	for _, h := range r.shelves {
		h.history = slices.DeleteFunc(h.history, func(o porcupine.Operation) bool { return o.Input.(action).kind == "read" })
	}
}

// breaking makes three replicas' connections to the database break in turn, for as long as the clients
// work: mostly between a COMMIT and its answer, and sometimes all of one replica's at once.
func breaking(proxies []*fault.Postgres) (trouble func(n int), lost func() int) {
	var rules []*fault.Rule
	trouble = func(n int) {
		proxies[(n+1)%3].Up()
		if p := proxies[n%3]; n%4 == 3 {
			p.Down()
		} else {
			rules = append(rules, p.LoseCommits(1))
		}
	}
	return trouble, func() (acted int) {
		for _, p := range proxies {
			p.Up()
		}
		for _, r := range rules {
			acted += r.Count()
		}
		return acted
	}
}

// inProcess are three replicas in this process, behind proxies before the database.
func inProcess(t *testing.T, url string, options func() inventory.Options) (replicas []replica, services []*inventory.Service, proxies []*fault.Postgres) {
	for range 3 {
		o := options()
		var proxy *fault.Postgres
		o.Pool, proxy = inventorytest.NewProxiedPool(t, url)
		s := inventory.New(o)
		replicas, services, proxies = append(replicas, s), append(services, s), append(proxies, proxy)
	}
	return replicas, services, proxies
}

// TestLinearizable: three replicas on one database, whose connections break, also between a COMMIT and
// its answer, and callers who lose patience. Whatever they were told, it could have been told by one
// inventory that does one thing at a time.
func TestLinearizable(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	replicas, services, proxies := inProcess(t, url, func() inventory.Options { return inventory.Options{} })
	r := newLinearRun(t, pool, replicas, false)
	trouble, lost := breaking(proxies)
	r.run(t, trouble)
	require.Greater(t, lost(), 3, "answers to COMMITs that were lost")
	for _, s := range services {
		s.Close()
	}
	r.settle(t)
}

// TestLinearizableWithCache is TestLinearizable with availability read from the cache while Redis is
// there. A single reservation is read past it, so whoever looks at one before its reserve has an answer
// may see what availability does not show yet; so nobody here does.
func TestLinearizableWithCache(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	prefix := inventorytest.NewCachePrefix()
	var caches []*cache.Cache
	replicas, services, proxies := inProcess(t, url, func() inventory.Options {
		caches = append(caches, inventorytest.NewCache(t, testenv.Redis(t), prefix, inventorytest.CacheTimeout))
		return inventory.Options{Cache: caches[len(caches)-1]}
	})
	r := newLinearRun(t, pool, replicas, true)
	trouble, lost := breaking(proxies)
	r.run(t, trouble)
	require.Greater(t, lost(), 3, "answers to COMMITs that were lost")
	for _, s := range services {
		s.Close()
	}
	r.settle(t)
}

// TestLinearizableOverHTTP is TestLinearizableWithCache by way of three processes, whose answers get lost
// on their way to the caller.
func TestLinearizableOverHTTP(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	var replicas []replica
	var proxies []*fault.HTTP
	var stops []func()
	var bases []string
	for range 3 {
		base, stop := inventorytest.LaunchProcess(t, inventorytest.ProcessConfig(url, testenv.Redis(t)))
		proxy := fault.NewHTTP(t, base)
		replicas, proxies, stops = append(replicas, inventorytest.NewClient(t, proxy.URL())), append(proxies, proxy), append(stops, stop)
		bases = append(bases, base)
	}
	r := newLinearRun(t, pool, replicas, true)
	var lost []*fault.Rule
	r.run(t, func(n int) { lost = append(lost, proxies[n%3].LoseAnswer(nil, 1)) })
	for i, stop := range stops {
		_, metrics := inventorytest.Get(t, bases[i]+"/metrics")
		if strings.Contains(string(metrics), `inventory_cache_requests_total{result="error"}`) || strings.Contains(string(metrics), `inventory_cache_invalidations_total{result="deferred"}`) {
			t.Log("this machine was too busy for reads from the cache: Redis did not answer a process within 100 ms, and then more is allowed")
			r.forgetReads()
		}
		stop()
	}
	acted := 0
	for _, l := range lost {
		acted += l.Count()
	}
	require.Greater(t, acted, 3, "answers that were lost")
	r.settle(t)
}

// deafCache is a cache that nobody tells of commits.
type deafCache struct{ *cache.Cache }

func (deafCache) Invalidate(context.Context, []cache.Change) {}

// TestStaleReadsAreNoticed: the check that the tests above rely on finds reads of what is no longer so.
func TestStaleReadsAreNoticed(t *testing.T) {
	t.Parallel()
	_, pool := inventorytest.NewDatabase(t)
	service := inventory.New(inventory.Options{Pool: pool, Cache: deafCache{inventorytest.NewCache(t, testenv.Redis(t), inventorytest.NewCachePrefix(), inventorytest.CacheTimeout)}})
	r := newLinearRun(t, pool, []replica{service}, true)
	r.run(t, func(int) {})
	service.Close()
	noticed := 0
	for _, h := range r.shelves {
		h.close(t, service)
		if h.check(t) == porcupine.Illegal {
			noticed++
		}
	}
	require.Positive(t, noticed)
}
