package telemetry_test

import (
	"testing"
	"time"

	"go.uber.org/goleak"
)

// How long a test waits for what must come, and how often it looks.
const (
	waitFor = 5 * time.Second
	tick    = 2 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
