// Package e2e tests the platform as its users meet it: the real binary, one process each, over HTTP,
// on real backing services.
package e2e

import (
	"testing"

	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
