package availability_test

import (
	"testing"

	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
