package service_test

import (
	"runtime/debug"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/internal/service"
)

// TestTuneGC: the collector runs less often, unless the environment says how often.
func TestTuneGC(t *testing.T) {
	before := debug.SetGCPercent(100)
	t.Cleanup(func() { debug.SetGCPercent(before) })

	t.Setenv("GOGC", "150")
	service.TuneGC()
	require.Equal(t, 100, debug.SetGCPercent(100), "GOGC in the environment comes first")

	t.Setenv("GOGC", "")
	service.TuneGC()
	require.Equal(t, 400, debug.SetGCPercent(100))
}
