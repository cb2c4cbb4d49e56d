package inventorytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

// testVersions lets a second writer who read the same version try every operation: each is refused,
// by the body as a conflict and by the header as a failed precondition, and changes nothing.
func testVersions(t *testing.T, a administered) {
	p := a.Stock(t, 10, 10)
	read := a.version(t, p)
	first := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: &read}
	out, err := a.admin.AdjustStock(t.Context(), p, first, By)
	require.NoError(t, err)
	require.Equal(t, read+1, out.Version)
	writes := map[string]func(expected *int64, o inventoryapi.WriteOptions) error{
		"receive": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, ExpectedVersion: v}, o)
			return err
		},
		"adjust": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: v}, o)
			return err
		},
		"transfer": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1, Reason: "r", ExpectedVersion: v}, o)
			return err
		},
		"threshold": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.SetThreshold(t.Context(), p, inventoryapi.ThresholdRequest{LowStockThreshold: ptr(a.version(t, p)), ExpectedVersion: v}, o)
			return err
		},
		"create": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.DeleteItem(t.Context(), p, "far", inventoryapi.DeleteItemRequest{Reason: "r"}, By)
			require.NoError(t, err)
			if v != nil && *v == a.version(t, p)-1 {
				v = ptr(*v + 1) // it was the version until just now
			}
			_, err = a.admin.CreateItem(t.Context(), p, "far", inventoryapi.CreateItemRequest{ExpectedVersion: v}, o)
			return err
		},
		"delete": func(v *int64, o inventoryapi.WriteOptions) error {
			_, err := a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{Reason: "r", ExpectedVersion: v}, o)
			return err
		},
	}
	for _, name := range []string{"receive", "adjust", "transfer", "threshold", "create", "delete"} {
		write := writes[name]
		stale := inventoryapi.WriteOptions{Actor: Actor, IfMatch: inventoryapi.ETag(read)}
		fails(t, write(&read, By), inventoryapi.VersionConflict, "expected_version")
		fails(t, write(nil, stale), inventoryapi.PreconditionFailed, "If-Match")
		stale.IfMatch = `W/` + inventoryapi.ETag(a.version(t, p)) + `, "x", "-1"`
		fails(t, write(nil, stale), inventoryapi.PreconditionFailed, "If-Match")
		for _, malformed := range []string{"7", `"7`, `"7" "8"`, "*,*", `"7",`, "W/7"} {
			fails(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: malformed}), inventoryapi.InvalidInput, "If-Match")
		}
		if name != "delete" && name != "create" {
			require.NoError(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: "*"}), name)
			require.NoError(t, write(nil, inventoryapi.WriteOptions{Actor: Actor, IfMatch: `"x", ` + inventoryapi.ETag(a.version(t, p))}), name)
		}
		now := a.version(t, p)
		require.NoError(t, write(&now, By), name)
	}
	_, err = a.admin.ReceiveStock(t.Context(), uuid.New(), inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, inventoryapi.WriteOptions{Actor: Actor, IfMatch: "*"})
	fails(t, err, inventoryapi.PreconditionFailed, "If-Match")
	_, err = a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, ExpectedVersion: ptr(int64(-1))}, By)
	fails(t, err, inventoryapi.InvalidInput, "expected_version")

	// The version was right when the operation was done, so its repeat is answered.
	in := inventoryapi.AdjustRequest{OperationID: uuid.New(), Location: "far", Delta: ptr(int64(1)), Reason: "r", ExpectedVersion: ptr(a.version(t, p))}
	for range 2 {
		_, err = a.admin.AdjustStock(t.Context(), p, in, By)
		require.NoError(t, err)
	}
}

// testAdministrationOperations: an id that stood for one thing stands for nothing else.
func testAdministrationOperations(t *testing.T, a administered) {
	p, op := a.Stock(t, 10, 10), uuid.New()
	_, err := a.admin.ReceiveStock(t.Context(), p, inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 1}, By)
	require.NoError(t, err)
	_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{OperationID: op, Location: "near", Delta: ptr(int64(1)), Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.TransferStock(t.Context(), p, inventoryapi.TransferRequest{OperationID: op, From: "near", To: "far", Quantity: 1, Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.DeleteItem(t.Context(), p, "near", inventoryapi.DeleteItemRequest{OperationID: op, Reason: "r"}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	_, err = a.admin.ReceiveStock(t.Context(), a.Stock(t, 1), inventoryapi.ReceiveRequest{OperationID: op, Location: "near", Quantity: 1}, By)
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	op = uuid.New()
	for _, delta := range []int64{2, 3} {
		_, err = a.admin.AdjustStock(t.Context(), p, inventoryapi.AdjustRequest{OperationID: op, Location: "near", Delta: &delta, Reason: "r"}, By)
	}
	fails(t, err, inventoryapi.AlreadyExists, "operation_id")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 23, available)
}

func testLocations(t *testing.T, a administered) {
	list, err := a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Contains(t, list, inventoryapi.Location{Code: "near", Name: "Near", Priority: 1})
	want := inventoryapi.Location{Code: "attic", Name: "Über dem Büro", Priority: 1_000_000}
	for range 2 {
		got, err := a.admin.PutLocation(t.Context(), "attic", inventoryapi.LocationRequest{Name: want.Name, Priority: ptr(want.Priority)}, By)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	list, err = a.admin.Locations(t.Context())
	require.NoError(t, err)
	require.Equal(t, want, list[len(list)-1], "by priority")
}

func (a administered) importing(t testing.TB, o inventoryapi.ImportOptions, lines ...string) inventoryapi.ImportReport {
	t.Helper()
	o.Actor = Actor
	out, err := a.admin.ImportStock(t.Context(), strings.NewReader(strings.Join(lines, "\r\n")), o)
	require.NoError(t, err)
	return out
}

// outcomes are a report's, row by row, with the code of those that failed.
func outcomes(r inventoryapi.ImportReport) []string {
	out := make([]string, len(r.Rows))
	for i, row := range r.Rows {
		out[i] = strings.TrimSpace(fmt.Sprintf("%d %s %s", row.Row, row.Outcome, row.Code))
	}
	return out
}

func testImport(t *testing.T, a administered) {
	p, held, fresh := a.Stock(t, 10, 4), a.Stock(t, 5), uuid.New()
	a.reserve(t, Line(held, 3))
	file := []string{
		"\uFEFFquantity,location,product_id,reason,low_stock_threshold",
		"12,near," + p.String() + `,"counted, twice",5`,
		"4,far," + p.String() + ",,",
		`"2","near",` + held.String() + ",,",
		"7,far," + fresh.String() + ",,0",
		"0,near," + fresh.String() + ",,",
		"1,nowhere," + fresh.String() + ",,",
		"-1,near," + uuid.NewString() + ",,",
	}
	want := []string{
		"2 adjusted", "3 unchanged", "4 failed insufficient_stock", "5 created", "6 created", "7 failed invalid_input", "8 failed negative_quantity",
	}
	dry := a.importing(t, inventoryapi.ImportOptions{DryRun: true}, file...)
	require.Equal(t, want, outcomes(dry))
	require.True(t, dry.DryRun)
	_, err := a.API.Availability(t.Context(), fresh, 1)
	require.ErrorIs(t, err, inventoryapi.ProductNotFound, "a dry run changes nothing")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 14, available)

	done := a.importing(t, inventoryapi.ImportOptions{}, file...)
	require.Equal(t, want, outcomes(done))
	require.Equal(t, inventoryapi.ImportTotals{Rows: 7, Created: 2, Adjusted: 1, Unchanged: 1, Failed: 3}, done.Totals)
	require.Equal(t, p.String(), done.Rows[0].ProductID)
	require.Equal(t, "near", done.Rows[0].Location)
	require.Equal(t, `column location: there is no location "nowhere"`, done.Rows[5].Detail)
	available, _ = a.Available(t, p)
	require.EqualValues(t, 16, available)
	available, _ = a.Available(t, fresh)
	require.EqualValues(t, 7, available)
	item, err := a.admin.CreateItem(t.Context(), p, "near", inventoryapi.CreateItemRequest{}, By)
	require.NoError(t, err)
	require.EqualValues(t, 5, item.LowStockThreshold)
	large := a.importing(t, inventoryapi.ImportOptions{}, file[0], strings.Repeat("\n", inventoryapi.MaxImportBytes/2), "13,near,"+p.String()+",,")
	require.Equal(t, 1, large.Totals.Adjusted, "a file may be larger than other requests")
}

// testImportAgain: between two runs of one file stock is sold, which the second must not bring back.
func testImportAgain(t *testing.T, a administered) {
	p, q := a.Stock(t, 10), a.Stock(t, 10)
	file := []string{"product_id,location,quantity", p.String() + ",near,12", q.String() + ",near,10", p.String() + ",far,3", p.String() + ",annex,1"}
	require.Equal(t, []string{"2 adjusted", "3 unchanged", "4 created", "5 failed invalid_input"}, outcomes(a.importing(t, inventoryapi.ImportOptions{}, file...)))
	for _, product := range []uuid.UUID{p, q} {
		in, _ := a.reserve(t, Line(product, 2))
		_, err := a.API.Confirm(t.Context(), in.ReservationID, Resolve())
		require.NoError(t, err)
	}
	_, err := a.admin.PutLocation(t.Context(), "annex", inventoryapi.LocationRequest{Name: "Annex", Priority: ptr(9)}, By)
	require.NoError(t, err)
	again := a.importing(t, inventoryapi.ImportOptions{}, file...)
	require.Equal(t, []string{"2 unchanged", "3 unchanged", "4 unchanged", "5 created"}, outcomes(again), "only what failed is tried again")
	require.True(t, again.Rows[0].Replayed)
	require.True(t, again.Rows[1].Replayed)
	available, _ := a.Available(t, q)
	require.EqualValues(t, 8, available)

	key := inventoryapi.ImportOptions{Key: "monday-" + p.String()}
	require.Equal(t, []string{"2 adjusted", "3 adjusted", "4 unchanged", "5 unchanged"}, outcomes(a.importing(t, key, file...)), "another key is another count")
	_, err = a.admin.ImportStock(t.Context(), strings.NewReader("product_id,location,quantity\n"), inventoryapi.ImportOptions{Actor: Actor, Key: key.Key})
	fails(t, err, inventoryapi.AlreadyExists, "Idempotency-Key")
}

func testImportMistakes(t *testing.T, a administered) {
	p := a.Stock(t, 1).String()
	header, many := "product_id,location,quantity", strings.Repeat("x,y,z\n", inventoryapi.MaxImportRows+1)
	for name, c := range map[string]struct{ file, field, detail string }{
		"empty":     {"", "product_id", "names the columns"},
		"missing":   {"product_id,location\n", "quantity", "row 1: the column quantity is missing"},
		"unknown":   {"product_id,location,quantity,price\n", "price", `row 1, column 4: there is no column "price"`},
		"duplicate": {"product_id,location,quantity,Location\n", "location", "row 1, column 4: the column location is there twice"},
		"quotes":    {"product_id,\"loc\"ation,quantity\n", "", "row 1"},
		"encoding":  {"\xff\xfep\x00", "", "not UTF-8"},
		"too many":  {header + "\n" + many, "", "10000 rows"},
	} {
		_, err := a.admin.ImportStock(t.Context(), strings.NewReader(c.file), inventoryapi.ImportOptions{Actor: Actor})
		fails(t, err, inventoryapi.InvalidInput, c.field)
		require.ErrorContains(t, err, c.detail, name)
	}
	got := a.importing(t, inventoryapi.ImportOptions{},
		header,
		p+",near",
		p+",near,1,2",
		"{"+p+"},near,1",
		p+",near,1.5",
		p+",near,",
		p+",near,99999999999999999999",
		p+",near,-99999999999999999999",
		p+",near,1000000000001",
		p+",,1",
		p+",ne\x00ar,1",
		p+`,ne"ar,1`,
		"",
		p+",near,4",
		p+",near,5",
		p+`,"near,6`)
	require.Equal(t, []string{
		"2 failed invalid_input", "3 failed invalid_input", "4 failed invalid_input", "5 failed invalid_input", "6 failed invalid_input",
		"7 failed invalid_quantity", "8 failed negative_quantity", "9 failed invalid_quantity", "10 failed invalid_input", "11 failed invalid_input",
		"12 failed invalid_input", "14 adjusted", "15 failed invalid_input", "16 failed invalid_input",
	}, outcomes(got))
	require.Equal(t, "the row has 2 fields, the header has 3", got.Rows[0].Detail)
	require.Equal(t, `column quantity: "1.5" is not a whole number without separators`, got.Rows[3].Detail)
	require.Contains(t, got.Rows[12].Detail, "row 14 counts the same product")
}

// testAdministrationMalformed covers what a Go caller can get wrong; the server's tests cover the JSON.
func testAdministrationMalformed(t *testing.T, a administered) {
	p := a.Stock(t, 10)
	type O = inventoryapi.WriteOptions
	receive := func(in inventoryapi.ReceiveRequest, o O) error {
		_, err := a.admin.ReceiveStock(t.Context(), p, in, o)
		return err
	}
	adjust := func(change func(*inventoryapi.AdjustRequest)) error {
		in := inventoryapi.AdjustRequest{Location: "near", Delta: ptr(int64(1)), Reason: "r"}
		change(&in)
		_, err := a.admin.AdjustStock(t.Context(), p, in, By)
		return err
	}
	transfer := func(in inventoryapi.TransferRequest) error {
		_, err := a.admin.TransferStock(t.Context(), p, in, By)
		return err
	}
	threshold := func(in inventoryapi.ThresholdRequest, o O) error {
		_, err := a.admin.SetThreshold(t.Context(), p, in, o)
		return err
	}
	location := func(code, name string, priority *int, o O) error {
		_, err := a.admin.PutLocation(t.Context(), code, inventoryapi.LocationRequest{Name: name, Priority: priority}, o)
		return err
	}
	item := func(code string, o O) error {
		_, err := a.admin.CreateItem(t.Context(), p, code, inventoryapi.CreateItemRequest{}, o)
		return err
	}
	drop := func(in inventoryapi.DeleteItemRequest, o O) error {
		_, err := a.admin.DeleteItem(t.Context(), p, "near", in, o)
		return err
	}
	type A = inventoryapi.AdjustRequest
	long := strings.Repeat("x", 3000)
	const invalid, quantity, negative = inventoryapi.InvalidInput, inventoryapi.InvalidQuantity, inventoryapi.NegativeQuantity
	for _, c := range []struct {
		field string
		code  inventoryapi.Code
		err   error
	}{
		{"actor", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, O{})},
		{"actor", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1}, O{Actor: long})},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Quantity: 1}, By)},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Location: "n\x00", Quantity: 1}, By)},
		{"location", invalid, receive(inventoryapi.ReceiveRequest{Location: long, Quantity: 1}, By)},
		{"reason", invalid, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1, Reason: long}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near"}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: -1}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1 << 62}, By)},
		{"quantity", quantity, receive(inventoryapi.ReceiveRequest{Location: "near", Quantity: 1_000_000_000_000}, By)},
		{"delta", invalid, adjust(func(a *A) { a.Delta = nil })},
		{"quantity", invalid, adjust(func(a *A) { a.Quantity = ptr(int64(1)) })},
		{"delta", quantity, adjust(func(a *A) { a.Delta = ptr(int64(0)) })},
		{"delta", quantity, adjust(func(a *A) { a.Delta = ptr(int64(-1) << 63) })},
		{"delta", quantity, adjust(func(a *A) { a.Delta = ptr(int64(1) << 62) })},
		{"quantity", negative, adjust(func(a *A) { a.Delta, a.Quantity = nil, ptr(int64(-1)) })},
		{"quantity", quantity, adjust(func(a *A) { a.Delta, a.Quantity = nil, ptr(int64(1)<<62) })},
		{"reason", invalid, adjust(func(a *A) { a.Reason = "" })},
		{"reason", invalid, adjust(func(a *A) { a.Reason = "r\x00" })},
		{"location", invalid, adjust(func(a *A) { a.Location = "" })},
		{"from", invalid, transfer(inventoryapi.TransferRequest{To: "far", Quantity: 1, Reason: "r"})},
		{"to", invalid, transfer(inventoryapi.TransferRequest{From: "near", Quantity: 1, Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: -5, Reason: "r"})},
		{"quantity", quantity, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1 << 62, Reason: "r"})},
		{"reason", invalid, transfer(inventoryapi.TransferRequest{From: "near", To: "far", Quantity: 1})},
		{"low_stock_threshold", invalid, threshold(inventoryapi.ThresholdRequest{}, By)},
		{"low_stock_threshold", negative, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(-1))}, By)},
		{"low_stock_threshold", quantity, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1) << 62)}, By)},
		{"location", invalid, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1)), Location: long}, By)},
		{"actor", invalid, threshold(inventoryapi.ThresholdRequest{LowStockThreshold: ptr(int64(1))}, O{})},
		{"actor", invalid, item("near", O{})},
		{"location", invalid, item("n\x00", By)},
		{"reason", invalid, drop(inventoryapi.DeleteItemRequest{}, By)},
		{"actor", invalid, drop(inventoryapi.DeleteItemRequest{Reason: "r"}, O{})},
		{"code", invalid, location("No Code", "x", ptr(1), By)},
		{"name", invalid, location("x", "", ptr(1), By)},
		{"name", invalid, location("x", "n\x00", ptr(1), By)},
		{"name", invalid, location("x", strings.Repeat("ü", 256), ptr(1), By)},
		{"priority", invalid, location("x", "x", nil, By)},
		{"priority", invalid, location("x", "x", ptr(-1), By)},
		{"priority", invalid, location("x", "x", ptr(1_000_001), By)},
		{"actor", invalid, location("x", "x", ptr(1), O{})},
	} {
		fails(t, c.err, c.code, c.field)
		require.Equal(t, inventoryapi.Validation, c.code.Category())
	}
	_, err := a.admin.ImportStock(t.Context(), strings.NewReader(""), inventoryapi.ImportOptions{})
	fails(t, err, invalid, "actor")
	_, err = a.admin.ImportStock(t.Context(), strings.NewReader(""), inventoryapi.ImportOptions{Actor: Actor, Key: strings.Repeat("k", 256)})
	fails(t, err, invalid, "Idempotency-Key")
	available, _ := a.Available(t, p)
	require.EqualValues(t, 10, available)
}
