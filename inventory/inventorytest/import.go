package inventorytest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/inventoryapi"
)

func (a administered) importing(t testing.TB, o inventoryapi.ImportOptions, lines ...string) inventoryapi.ImportReport {
	t.Helper()
	o.Actor = Actor
	out, err := a.admin.ImportStock(t.Context(), strings.NewReader(strings.Join(lines, "\r\n")), o)
	require.NoError(t, err)
	return out
}

// outcomes returns the outcome of each row of a report, with the code of a failed row.
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
		"2 adjusted",
		"3 unchanged",
		"4 failed insufficient_stock",
		"5 created",
		"6 created",
		"7 failed invalid_input",
		"8 failed negative_quantity",
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

	large := a.importing(t, inventoryapi.ImportOptions{},
		file[0], strings.Repeat("\n", inventoryapi.MaxImportBytes/2), "13,near,"+p.String()+",,")
	require.Equal(t, 1, large.Totals.Adjusted, "a file may be larger than other requests")
}

// testImportAgain: a file that is imported again, after another file or after a sale, sets its counts again.
func testImportAgain(t *testing.T, a administered) {
	p, q := a.Stock(t, 1), a.Stock(t, 7)
	file := func(n int) []string {
		return []string{"product_id,location,quantity", fmt.Sprintf("%s,near,%d", p, n), q.String() + ",near,7"}
	}
	for _, step := range []struct {
		count int
		want  []string
	}{
		{5, []string{"2 adjusted", "3 unchanged"}},
		{7, []string{"2 adjusted", "3 unchanged"}},
		{5, []string{"2 adjusted", "3 unchanged"}},
		{5, []string{"2 unchanged", "3 unchanged"}},
	} {
		require.Equal(t, step.want, outcomes(a.importing(t, inventoryapi.ImportOptions{}, file(step.count)...)))
		available, _ := a.Available(t, p)
		require.EqualValues(t, step.count, available)
	}

	version := a.version(t, q)
	require.EqualValues(t, 1, version, "rows with the right count moved no version")
	entries, err := a.API.(inventoryapi.Queries).Ledger(t.Context(), q, "", inventoryapi.Page{})
	require.NoError(t, err)
	require.Len(t, entries.Items, 1, "rows with the right count wrote no entry")
}

// testImportKey: between two imports of one file under one key, stock is sold. The second import must not restore the
// sold stock.
func testImportKey(t *testing.T, a administered) {
	p, q := a.Stock(t, 10), a.Stock(t, 10)
	file := []string{
		"product_id,location,quantity",
		p.String() + ",near,12",
		q.String() + ",near,10",
		p.String() + ",far,3",
		p.String() + ",annex,1",
	}
	key := inventoryapi.ImportOptions{Key: "monday-" + p.String()}
	require.Equal(t,
		[]string{"2 adjusted", "3 unchanged", "4 created", "5 failed invalid_input"},
		outcomes(a.importing(t, key, file...)))

	for _, product := range []uuid.UUID{p, q} {
		in, _ := a.reserve(t, Line(product, 2))
		_, err := a.API.Confirm(t.Context(), in.ReservationID, Resolve())
		require.NoError(t, err)
	}
	_, err := a.admin.PutLocation(t.Context(), "annex", inventoryapi.LocationRequest{Name: "Annex", Priority: ptr(9)}, By)
	require.NoError(t, err)

	replayed := []string{"2 replayed", "3 replayed", "4 replayed", "5 created"}
	key.DryRun = true
	require.Equal(t, replayed, outcomes(a.importing(t, key, file...)))
	key.DryRun = false
	again := a.importing(t, key, file...)
	require.Equal(t, replayed, outcomes(again), "only failed rows are tried again")
	require.Equal(t, inventoryapi.ImportTotals{Rows: 4, Created: 1, Replayed: 3}, again.Totals)
	available, _ := a.Available(t, q)
	require.EqualValues(t, 8, available)

	importEmpty := func(actor string) (inventoryapi.ImportReport, error) {
		return a.admin.ImportStock(t.Context(), strings.NewReader("product_id,location,quantity\n"),
			inventoryapi.ImportOptions{Actor: actor, Key: key.Key})
	}
	_, err = importEmpty(Actor)
	fails(t, err, inventoryapi.IdempotencyKeyReused, "Idempotency-Key")
	theirs, err := importEmpty("another")
	require.NoError(t, err, "each actor has keys of its own")
	require.Zero(t, theirs.Totals.Rows)

	key.Key += "-2"
	require.Equal(t,
		[]string{"2 adjusted", "3 adjusted", "4 unchanged", "5 unchanged"},
		outcomes(a.importing(t, key, file...)), "under another key the file is imported again")
}

func testImportMistakes(t *testing.T, a administered) {
	p := a.Stock(t, 1).String()
	header, many := "product_id,location,quantity", strings.Repeat("x,y,z\n", inventoryapi.MaxImportRows+1)
	for _, c := range []struct {
		name                string
		file, field, detail string
	}{
		{"empty", "", "", "names the columns"},
		{"missing", "product_id,location\n", "quantity", "line 1: the column quantity is missing"},
		{"unknown", "product_id,location,quantity,price\n", "price", `line 1, column 4: there is no column "price"`},
		{
			"duplicate", "product_id,location,quantity,Location\n", "location",
			"line 1, column 4: the column location is there twice",
		},
		{"quotes", "product_id,\"loc\"ation,quantity\n", "", "line 1"},
		{"encoding", "\xff\xfep\x00", "", "not UTF-8"},
		{"too many", header + "\n" + many, "", "10000 rows"},
	} {
		_, err := a.admin.ImportStock(t.Context(), strings.NewReader(c.file), inventoryapi.ImportOptions{Actor: Actor})
		fails(t, err, inventoryapi.InvalidInput, c.field)
		require.ErrorContains(t, err, c.detail, c.name)
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
		"2 failed invalid_input",
		"3 failed invalid_input",
		"4 failed invalid_input",
		"5 failed invalid_input",
		"6 failed invalid_input",
		"7 failed invalid_quantity",
		"8 failed negative_quantity",
		"9 failed invalid_quantity",
		"10 failed invalid_input",
		"11 failed invalid_input",
		"12 failed invalid_input",
		"14 adjusted",
		"15 failed invalid_input",
		"16 failed invalid_input",
	}, outcomes(got))
	require.Equal(t, "the row has 2 fields, the header has 3", got.Rows[0].Detail)
	require.Equal(t, `column quantity: "1.5" is not a whole number; write plain digits, as in 12`, got.Rows[3].Detail)
	require.Contains(t, got.Rows[12].Detail, "line 14 counts the same product")
}
