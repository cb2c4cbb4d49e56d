package server

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"holdfast/api/orderapi"
)

// FuzzImportProducts reads any bytes below a good header. Each upsert equals the record that an independent reader
// finds at its line, only the description has line breaks, and prices are digits with at most the currency's decimals.
func FuzzImportProducts(f *testing.F) {
	for _, seed := range []string{
		"",
		"A-1,Mug,text,14.90,1500\n",
		"A-1,Mug,\"two\nlines\",,\nA-2,Cup,,1,1\n",
		"A-1,Mug,\"open,1,1\nA-2,Cup,closed\",2,2\n",
		"A-1,Mug,,+5,\n",
		"A-1,Mug,, 5 ,1.0\n",
		"A-1,Mug,,1e3,\n",
		"A-1,Mug,,1_0,\n",
		"A-1,\"Mu\ng\",,1,1\n",
		"a-1,Mug,,1,1\n",
		"A-1,Mug,,.5,\n",
		"A-1,Mug,,5.,\n",
		"A-1,Mug,,1.999,\n",
		"A-1,Mug,\"a\r\nb\",1,1\r\n",
		"A-1,Mug\x00,,1,1\n",
		"PK\x03\x04",
		"A-1,Mug,,00.10,007\n",
	} {
		f.Add(seed)
	}

	const header = "sku,name,description,price_EUR,price_JPY\n"
	euros, yen := regexp.MustCompile(`^([0-9]+)(?:\.([0-9]{1,2}))?$`), regexp.MustCompile(`^[0-9]+$`)
	f.Fuzz(func(t *testing.T, body string) {
		file, err := readImport(strings.NewReader(header + body))
		if err != nil {
			return
		}

		lines := strings.SplitAfter(header+body, "\n")
		next, skus := 0, map[string]bool{}
		for _, row := range file.rows {
			if row.Outcome != "" {
				require.Equal(t, orderapi.ImportedRowOutcomeFailed, row.Outcome)
				continue
			}
			u := file.upserts[next]
			next++

			cells, err := csv.NewReader(strings.NewReader(strings.Join(lines[row.Line-1:], ""))).Read()
			require.NoError(t, err)
			require.Equal(t, []string{cells[0], cells[1], cells[2]}, []string{u.SKU, u.Name, *u.Description})
			require.NotContains(t, u.SKU+u.Name+cells[3]+cells[4], "\n")
			require.False(t, skus[u.SKU])
			skus[u.SKU] = true

			price, yens := strings.TrimSpace(cells[3]), strings.TrimSpace(cells[4])
			if require.Equal(t, price == "", u.Prices["EUR"] == nil); price != "" {
				m := euros.FindStringSubmatch(price)
				require.NotNil(t, m, price)
				require.Equal(t, trimZeros(m[1]+(m[2] + "00")[:2]), fmt.Sprint(*u.Prices["EUR"]))
			}
			if require.Equal(t, yens == "", u.Prices["JPY"] == nil); yens != "" {
				require.Regexp(t, yen, yens)
				require.Equal(t, trimZeros(yens), fmt.Sprint(*u.Prices["JPY"]))
			}
		}
		require.Len(t, file.upserts, next)
	})
}

// trimZeros removes leading zeros from a number.
func trimZeros(digits string) string {
	if short := strings.TrimLeft(digits, "0"); short != "" {
		return short
	}
	return "0"
}
