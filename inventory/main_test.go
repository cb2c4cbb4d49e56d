package inventory_test

import (
	"testing"

	"holdfast/inventory/inventorytest"
	"holdfast/tests/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

func TestServiceConforms(t *testing.T) {
	t.Parallel()
	inventorytest.Conformance(t, inventorytest.NewService(t))
}

func TestClientConforms(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	inventorytest.Conformance(t, s)
}

func TestServiceTakesBackorders(t *testing.T) {
	t.Parallel()
	inventorytest.Backorders(t, inventorytest.NewService(t))
}

func TestClientTakesBackorders(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	inventorytest.Backorders(t, s)
}

func TestServiceAdministers(t *testing.T) {
	t.Parallel()
	inventorytest.Administration(t, inventorytest.NewService(t))
}

func TestClientAdministers(t *testing.T) {
	t.Parallel()
	s, _ := inventorytest.NewServer(t)
	inventorytest.Administration(t, s)
}
