// Package e2e tests the platform as its users see it: the real binary, one process of each kind, over HTTP,
// on real backing services.
package e2e

import (
	"testing"

	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
