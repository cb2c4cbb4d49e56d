package inventory_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/internal/database"
	"holdfast/inventory"
	"holdfast/inventory/inventoryapi"
	"holdfast/inventory/inventorytest"
)

// TestImportKeyIsOneFilesAtOnce: if two files arrive at the same time under one key, the service imports one of them,
// and refuses the other without any change.
func TestImportKeyIsOneFilesAtOnce(t *testing.T) {
	t.Parallel()
	s := inventorytest.NewService(t)
	x, y := s.Stock(t, 1), s.Stock(t, 1)
	unlock := inventorytest.LockProduct(t, s.Pool, y)
	o := inventoryapi.ImportOptions{Actor: "olga", Key: "same"}
	const format = "product_id,location,quantity\n%s,near,%d\n"

	first := make(chan error, 1)
	go func() {
		file := strings.NewReader(fmt.Sprintf(format, y, 6))
		_, err := s.Service.ImportStock(context.WithoutCancel(t.Context()), file, o)
		first <- err
	}()
	inventorytest.AwaitBlocked(t, s.Pool)

	_, err := s.Service.ImportStock(t.Context(), strings.NewReader(fmt.Sprintf(format, x, 5)), o)
	require.ErrorIs(t, err, inventoryapi.IdempotencyKeyReused)
	available, _ := s.Available(t, x)
	require.EqualValues(t, 1, available)

	unlock()
	require.NoError(t, <-first)
	available, _ = s.Available(t, y)
	require.EqualValues(t, 6, available)
}

// TestImportFailsRowByRow: only those rows of an import fail whose stock another transaction has locked.
func TestImportFailsRowByRow(t *testing.T) {
	t.Parallel()
	url, pool := inventorytest.NewDatabase(t)
	service := inventorytest.NewReplica(t, url, inventory.Options{},
		database.Pool{MaxConns: 10, LockTimeout: 50 * time.Millisecond})
	s := inventorytest.NewSubject(t, service, pool)
	file, products := "product_id,location,quantity\n", []uuid.UUID{}
	for range 20 {
		products = append(products, s.Stock(t, 1))
		file += products[len(products)-1].String() + ",near,5\n"
	}

	unlock := inventorytest.LockProduct(t, pool, products[7])
	o := inventoryapi.ImportOptions{Actor: "olga", Key: "nightly"}
	out, err := service.ImportStock(t.Context(), strings.NewReader(file), o)
	require.NoError(t, err)
	require.Equal(t, []int{19, 1}, []int{out.Totals.Adjusted, out.Totals.Failed})
	require.Equal(t, string(inventoryapi.VersionConflict), out.Rows[7].Code)

	unlock()
	out, err = service.ImportStock(t.Context(), strings.NewReader(file), o)
	require.NoError(t, err)
	require.Equal(t, []int{1, 19}, []int{out.Totals.Adjusted, out.Totals.Replayed})
	inventorytest.RequireConsistent(t, pool)
}
