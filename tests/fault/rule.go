package fault

import (
	"context"
	"slices"
	"sync"
)

// Rule acts on single requests. It acts a given number of times and then lets everything through. If the
// number is negative, it always acts.
type Rule struct {
	withholds bool // a lost answer is withheld rather than cut

	mu       sync.Mutex
	left     int
	count    int
	reached  chan struct{}
	released chan struct{}
}

func newRule(times int) *Rule {
	return &Rule{left: times, reached: make(chan struct{}), released: make(chan struct{})}
}

// Count says how often the rule acted: how many requests it held, or how many answers it lost. It is up to
// date before a client can notice the effect.
func (r *Rule) Count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count
}

// Reached is closed when the rule acts for the first time: a held request has arrived, or a request
// whose answer is to be lost was performed.
func (r *Rule) Reached() <-chan struct{} { return r.reached }

// Release ends the rule: held requests go on, connections with a withheld answer are cut, and the rule does
// not act any more. It may be called more than once.
func (r *Rule) Release() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended() {
		close(r.released)
	}
}

func (r *Rule) ended() bool {
	select {
	case <-r.released:
		return true
	default:
		return false
	}
}

// take uses the rule once, if it may still act.
func (r *Rule) take() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left == 0 || r.ended() {
		return false
	}
	if r.left > 0 {
		r.left--
	}
	return true
}

// giveBack undoes take if the rule did not act in the end.
func (r *Rule) giveBack() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.left >= 0 {
		r.left++
	}
}

func (r *Rule) acted() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count++; r.count == 1 {
		close(r.reached)
	}
}

// wait returns once the rule is released, or ctx has ended.
func (r *Rule) wait(ctx context.Context) {
	select {
	case <-r.released:
	case <-ctx.Done():
	}
}

// rules are a proxy's rules of one kind for requests that T describes. The first rule that matches and may
// still act is taken.
type rules[T any] struct {
	mu   sync.Mutex
	list []matcher[T]
}

type matcher[T any] struct {
	match func(T) bool
	rule  *Rule
}

func (r *rules[T]) add(match func(T) bool, rule *Rule) *Rule {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, matcher[T]{match, rule})
	return rule
}

// take returns nil when no rule applies.
func (r *rules[T]) take(request T) *Rule {
	r.mu.Lock()
	list := slices.Clone(r.list)
	r.mu.Unlock()
	for _, m := range list {
		if (m.match == nil || m.match(request)) && m.rule.take() {
			return m.rule
		}
	}
	return nil
}
