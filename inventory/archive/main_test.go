package archive_test

import (
	"testing"

	"holdfast/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }
