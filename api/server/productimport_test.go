package server

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
	"holdfast/internal/auth"
)

func (s catalogueServer) imports(csv, query string) orderapi.ImportReport {
	s.t.Helper()
	res, raw := s.send(auth.Operator, http.MethodPost, "/api/products/import"+query, csv,
		"Content-Type", "Text/CSV; charset=utf-8")
	require.Equal(s.t, http.StatusOK, res.StatusCode, raw)
	return decode[orderapi.ImportReport](s.t, raw)
}

func (s catalogueServer) products() map[string]orderapi.Product {
	s.t.Helper()
	_, raw := s.send(auth.Operator, http.MethodGet, "/api/products?limit=200", "")
	out := map[string]orderapi.Product{}
	for _, p := range decode[orderapi.ProductList](s.t, raw).Items {
		out[p.SKU] = p
	}
	return out
}

func counts(r orderapi.ImportReport) []int {
	return []int{r.Rows, r.Created, r.Updated, r.Unchanged, r.Failed}
}

// TestImport creates, updates, repeats and dry-runs, with files as spreadsheets write them.
func TestImport(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	file := "\xef\xbb\xbfSKU, name ,description,category,active,price_eur,price_JPY\r\n" +
		"IMP-1,\"Mug, blue\",\"Says \"\"hello\"\"\nin two lines\",kitchen,,14.90,1500\r\n" +
		"IMP-2,Lamp,,,false,5,\r\n\r\n"

	dry := s.imports(file, "?dry_run=true")
	require.True(t, dry.DryRun)
	require.Equal(t, []int{2, 2, 0, 0, 0}, counts(dry))
	require.Zero(t, dry.Items[0].ProductID, "a product that is not made has no id")
	_, raw := s.send(auth.Operator, http.MethodPost, "/api/products/import?dry_run=true", file,
		"Content-Type", "text/csv")
	require.NotContains(t, raw, "product_id")
	require.Empty(t, s.products(), "a dry run writes nothing")

	require.Equal(t, []int{2, 2, 0, 0, 0}, counts(s.imports(file, "")))
	p := s.products()
	require.Len(t, p, 1, "the other is inactive")
	require.Equal(t, "Mug, blue", p["IMP-1"].Name)
	require.Equal(t, "Says \"hello\"\nin two lines", p["IMP-1"].Description)
	require.Equal(t, "14.90 EUR", p["IMP-1"].Prices[0].String())
	require.Equal(t, "1500 JPY", p["IMP-1"].Prices[1].String())

	again := s.imports(file, "")
	require.Equal(t, []int{2, 0, 0, 2, 0}, counts(again))
	require.Equal(t, p["IMP-1"].ProductID, again.Items[0].ProductID)
	require.Equal(t, p, s.products(), "the versions do not change either")

	update := s.imports("name,sku,price_EUR,price_USD\n"+
		"\"Mug, blue\",IMP-1,,16.50\n"+
		"Lamp,IMP-2,5.00,\n"+
		"New,IMP-3,,\n", "")
	require.Equal(t, []int{3, 1, 1, 1, 0}, counts(update))
	p = s.products()
	prices := p["IMP-1"].Prices
	require.Equal(t, []string{"1500 JPY", "16.50 USD"}, []string{prices[0].String(), prices[1].String()},
		"an empty cell removes the price; a currency without a column keeps its price")
	require.Equal(t, "kitchen", p["IMP-1"].Category, "a column that is not there changes nothing")
	require.EqualValues(t, 2, p["IMP-1"].Version)
	require.True(t, p["IMP-3"].Active)
}

// TestImportCurrencies reads prices with as many decimal places as ISO 4217 gives each currency.
func TestImportCurrencies(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	report := s.imports("sku,name,price_CLP,price_ISK,price_KWD,price_CLF\n"+
		"CUR-1,Mug,990,1500,1.234,0.0012\n"+
		"CUR-2,Mug,9.90,,,\n", "")
	require.Equal(t, []int{2, 1, 0, 0, 1}, counts(report))
	require.Equal(t, "price_CLP", report.Items[1].Field)
	prices := []string{}
	for _, price := range s.products()["CUR-1"].Prices {
		prices = append(prices, price.String())
	}
	require.ElementsMatch(t, []string{"990 CLP", "1500 ISK", "1.234 KWD", "0.0012 CLF"}, prices)
}

// TestImportRows: a bad row fails alone, and its report names the line, the column and the reason.
func TestImportRows(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	rows := []struct{ row, outcome, code, field string }{
		{"OK-1,Fine,x,true,1.00", "created", "", ""},
		{"ok-2,Fine,x,true,1.00", "failed", "invalid_value", "sku"},
		{",Fine,x,true,1.00", "failed", "invalid_value", "sku"},
		{"OK-3,,x,true,1.00", "failed", "invalid_value", "name"},
		{"OK-4," + strings.Repeat("é", 201) + ",x,true,1.00", "failed", "invalid_value", "name"},
		{"OK-5,Fine," + strings.Repeat("x", 101) + ",true,1.00", "failed", "invalid_value", "category"},
		{"OK-6,Fine,x,maybe,1.00", "failed", "invalid_value", "active"},
		{"OK-7,Fine,x,true,1.999", "failed", "invalid_value", "price_EUR"},
		{"OK-18,Fine,x,true,+5", "failed", "invalid_value", "price_EUR"},
		{"OK-19,Fine,x,true,1 000", "failed", "invalid_value", "price_EUR"},
		{"OK-20,Fine,x,true,1e3", "failed", "invalid_value", "price_EUR"},
		{"OK-21,Fine,x,true,1_0", "failed", "invalid_value", "price_EUR"},
		{"OK-8,Fine,x,true,-1", "failed", "invalid_value", "price_EUR"},
		{`OK-9,Fine,x,true,"1,50"`, "failed", "invalid_value", "price_EUR"},
		{"OK-10,Fine,x,true,99999999999999", "failed", "invalid_value", "price_EUR"},
		{"OK-11,Fine,x,true", "failed", "invalid_row", ""},
		{"OK-12,Fine,x,true,1.00,more", "failed", "invalid_row", ""},
		{`OK-13,Fi"ne,x,true,1.00`, "failed", "invalid_row", ""},
		{"OK-1,Twice,x,true,2.00", "failed", "duplicate_sku", "sku"},
		{"OK-14,\xff,x,true,1.00", "failed", "invalid_value", "name"},
		{"OK-15,a\x00b,x,true,1.00", "failed", "invalid_value", "name"},
		{strings.Repeat("X", 100_000) + ",Long,x,true,1.00", "failed", "invalid_value", "sku"},
		{"OK-17,Long,x,true," + strings.Repeat("x", 100_000), "failed", "invalid_value", "price_EUR"},
		{"OK-16,Last,x,true,", "created", "", ""},
	}

	file := "sku,name,category,active,price_EUR\n"
	for _, r := range rows {
		file += r.row + "\n"
	}
	report := s.imports(file, "")
	require.Equal(t, []int{len(rows), 2, 0, 0, len(rows) - 2}, counts(report))
	for i, r := range rows {
		got := report.Items[i]
		require.Equal(t,
			[]string{r.outcome, r.code, r.field},
			[]string{string(got.Outcome), string(got.Code), got.Field}, "%s: %+v", r.row, got)
		require.Equal(t, i+2, got.Line)
		if r.outcome == "failed" {
			require.NotEmpty(t, got.Detail)
			require.Less(t, len(got.SKU)+len(got.Detail), 300, "the report repeats only a little of a cell")
		}
	}
	require.Len(t, s.products(), 2)
}

// TestImportSwallowedRow: an import does not read two rows as one when a quote is not closed.
func TestImportSwallowedRow(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	report := s.imports("sku,name,price_EUR\nSW-1,\"One,1\nSW-2,Two\",2\n", "")
	require.Equal(t, []int{1, 0, 0, 0, 1}, counts(report))
	require.Equal(t, "name", report.Items[0].Field)

	report = s.imports("sku,name,description\n"+
		"SW-1,One,\"first\n"+
		"SW-2,Two,second\"\n"+
		"SW-3,Three,\"in two\nlines\"\n", "")
	require.Equal(t, []int{2, 1, 0, 0, 1}, counts(report))
	require.Contains(t, report.Items[0].Detail, "line 3 looks like a row of its own")
}

// TestImportBusy: an import that waits too long for another one answers 503 and when to try again.
func TestImportBusy(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	s.imports("sku,name\nBUSY-1,One\n", "")

	_, err := s.pool.Exec(t.Context(), "SELECT pg_catalog.set_config('lock_timeout', '50ms', false)")
	require.NoError(t, err)
	var database string
	require.NoError(t, s.pool.QueryRow(t.Context(), "SELECT current_database()").Scan(&database))
	_, err = s.pool.Exec(t.Context(), "ALTER DATABASE "+database+" SET lock_timeout = '50ms'")
	require.NoError(t, err)

	tx, err := s.pool.Begin(t.Context())
	require.NoError(t, err)
	_, err = tx.Exec(t.Context(), "SELECT 1 FROM products FOR UPDATE")
	require.NoError(t, err)
	s.pool.Reset() // new connections have the limit

	res, raw := s.send(auth.Operator, http.MethodPost, "/api/products/import", "sku,name\nBUSY-1,Two\n",
		"Content-Type", "text/csv")
	require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, raw)
	require.Contains(t, raw, "other imports are changing the same products")
	require.NotEmpty(t, res.Header.Get("Retry-After"))

	require.NoError(t, tx.Rollback(t.Context()))
	require.Equal(t, 1, s.imports("sku,name\nBUSY-1,Two\n", "").Updated)
}

// TestImportFiles: the server refuses a file with a fault as a whole before it writes anything.
func TestImportFiles(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	many := "sku,name\n" + strings.Repeat("A,B\n", maxImportRows+1)
	for name, c := range map[string]struct {
		file   string
		status int
		field  string
	}{
		"only names of columns":   {"sku,name\n", 400, ""},
		"no SKU":                  {"name,price_EUR\nA,1\n", 400, "sku"},
		"no name":                 {"sku,price_EUR\nA,1\n", 400, "name"},
		"an unknown column":       {"sku,name,stock\nA,B,1\n", 400, "stock"},
		"an unknown currency":     {"sku,name,price_QQQ\nA,B,1\n", 400, "price_QQQ"},
		"a column twice":          {"sku,name,price_EUR,price_eur\nA,B,1,1\n", 400, "price_EUR"},
		"semicolons":              {"sku;name\nA;B\n", 400, ""},
		"gzip":                    {"\x1f\x8b\x08\x00sku", 400, ""},
		"UTF-16":                  {"\xff\xfes\x00k\x00u\x00", 400, ""},
		"quotes in the first":     {"s\"ku,name\nA,B\n", 400, ""},
		"more rows than allowed":  {many, 400, ""},
		"a row too long":          {"sku,name\nA,B\nC,\"" + strings.Repeat("D,E\n", 100_000), 400, ""},
		"more bytes than allowed": {"sku,name\n" + strings.Repeat("x", 8<<20), 413, ""},
	} {
		t.Run(name, func(t *testing.T) {
			res, raw := s.send(auth.Operator, http.MethodPost, "/api/products/import", c.file, "Content-Type", "text/csv")
			require.Equal(t, c.status, res.StatusCode, raw)
			require.Equal(t, c.field, decode[struct{ Field string }](t, raw).Field, raw)
		})
	}
	require.Empty(t, s.products())
}

// TestImportsAtOnce runs imports of overlapping files at once, in different orders: none fails, and no product is made
// twice.
func TestImportsAtOnce(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	const each, overlap = 300, 100
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			file := &strings.Builder{}
			fmt.Fprintln(file, "sku,name,price_EUR")
			for n := range each {
				at := n
				if i%2 == 1 {
					at = each - 1 - n
				}
				fmt.Fprintf(file, "AT-ONCE-%d,Product,%d\n", i*overlap+at, i)
			}
			require.Zero(t, s.imports(file.String(), "").Failed)
		})
	}
	wg.Wait()

	var products, prices int
	const count = "SELECT count(*), (SELECT count(*) FROM product_prices) FROM products"
	require.NoError(t, s.pool.QueryRow(t.Context(), count).Scan(&products, &prices))
	require.Equal(t, []int{5*overlap + each, 5*overlap + each}, []int{products, prices})
}

// TestImportTenThousand imports the largest allowed file within the time that the gateway waits.
func TestImportTenThousand(t *testing.T) {
	t.Parallel()
	s := startCatalogue(t)
	file := &strings.Builder{}
	fmt.Fprintln(file, "sku,name,description,price_EUR,price_USD")
	for i := range maxImportRows {
		fmt.Fprintf(file, "BULK-%d,Product %d,%s,%d.99,%d\n", i, i, strings.Repeat("d", 200), i, i)
	}
	require.Equal(t, []int{maxImportRows, maxImportRows, 0, 0, 0}, counts(s.imports(file.String(), "")))
	require.Equal(t, []int{maxImportRows, 0, 0, maxImportRows, 0}, counts(s.imports(file.String(), "")))
}
