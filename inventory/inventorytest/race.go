package inventorytest

import (
	"maps"
	"sync"

	"holdfast/inventory/inventoryapi"
)

// Together calls f n times at the same moment, each time in a goroutine of its own, and waits for all.
func Together(n int, f func(i int)) {
	var ready, done sync.WaitGroup
	begin := make(chan struct{})
	ready.Add(n)
	for i := range n {
		done.Go(func() {
			ready.Done()
			<-begin
			f(i)
		})
	}
	ready.Wait()
	close(begin)
	done.Wait()
}

// Tally counts outcomes by code; "" is success. It is safe for concurrent use.
type Tally struct {
	mu     sync.Mutex
	counts map[inventoryapi.Code]int
}

// Add counts an outcome. An error without a code counts under its text.
func (c *Tally) Add(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counts == nil {
		c.counts = map[inventoryapi.Code]int{}
	}
	code := inventoryapi.CodeOf(err)
	if err != nil && code == "" {
		code = inventoryapi.Code(err.Error())
	}
	c.counts[code]++
}

// Counts returns how often each outcome was added.
func (c *Tally) Counts() map[inventoryapi.Code]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.counts)
}
