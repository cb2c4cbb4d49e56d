package inventory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// TestImportKeyIsOneFilesAtOnce: of two files that come at the same time under one key, one is imported, and
// of the other nothing is done.
func TestImportKeyIsOneFilesAtOnce(t *testing.T) {
	t.Parallel()
	s := newService(t)
	x, y := s.Stock(t, 1), s.Stock(t, 1)
	unlock := lockProduct(t, s.Pool, y)
	o := inventoryapi.ImportOptions{Actor: "olga", Key: "same"}
	first := make(chan error, 1)
	go func() {
		_, err := s.Service.ImportStock(context.WithoutCancel(t.Context()), strings.NewReader(fmt.Sprintf("product_id,location,quantity\n%s,near,6\n", y)), o)
		first <- err
	}()
	awaitBlocked(t, s.Pool)
	_, err := s.Service.ImportStock(t.Context(), strings.NewReader(fmt.Sprintf("product_id,location,quantity\n%s,near,5\n", x)), o)
	require.ErrorIs(t, err, inventoryapi.AlreadyExists)
	available, _ := s.Available(t, x)
	require.EqualValues(t, 1, available)
	unlock()
	require.NoError(t, <-first)
	available, _ = s.Available(t, y)
	require.EqualValues(t, 6, available)
}
