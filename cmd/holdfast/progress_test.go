package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestProgressEndsWithTheWholeCount: in a file, the last line of each step has its whole count, also if the step was
// over within a second.
func TestProgressEndsWithTheWholeCount(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newProgress(&out)
	for n := range 58 {
		p.at("running workflows", n+1, 0)
	}
	p.at("items", 100, 0)
	for n := range 7 {
		p.at("replayed", n+1, 7)
	}
	for n := range 3 {
		p.at("orders", n+1, 0)
	}
	p.end()
	require.Equal(t, "running workflows: 1\nrunning workflows: 58\nitems: 100\n"+
		"replayed: 1 of 7\nreplayed: 7 of 7\norders: 1\norders: 3\n", out.String())
}

// TestSlowProgress: a command that takes long prints one line in ten seconds into a file, and a short one none.
func TestSlowProgress(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	p := newSlowProgress(&out)
	p.at("items", 100, 0)
	p.at("orders", 3, 3)
	require.Empty(t, out.String())
	p.last = time.Now().Add(-slowPace)
	p.at("orders", 200, 0)
	p.at("orders", 300, 0)
	p.end()
	require.Equal(t, "orders: 200\n", out.String())
}
