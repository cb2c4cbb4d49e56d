package inventory

import (
	"encoding/csv"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"holdfast/inventory/stock"
)

// FuzzImport reads any bytes below a valid header. Each valid row has the content of its own line, parsed separately,
// and no line is in two rows.
func FuzzImport(f *testing.F) {
	const id = "90806882-983d-5164-87bd-3b84bc6ad730"
	for _, seed := range []string{
		"",
		id + ",near,5,,\n",
		id + ",near,+5,,\n",
		id + ",near, 5 ,7,yearly\r\n",
		id + ",near,0x5,,\n",
		id + ",near,1e3,,\n",
		id + ",near,5_0,,\n",
		id + ",near,5,,\"a\n" + id + ",far,6,,b\"\n",
		"\"" + id + "\",\"near\",\"05\",\"1\",\"a \"\"b\"\"\"\n",
		id + ",near,5,\n",
		id + ",near,-0,,\n",
		id + ",ne\x00ar,5,,\n",
		"{" + id + "},near,5,,\n",
		id + ",near,1000000000000,,\n",
		id + ",near,1000000000001,,\n",
		"\x1f\x8b",
		id + ",near,٥,,\n",
	} {
		f.Add(seed)
	}

	const header = "product_id,location,quantity,low_stock_threshold,reason\n"
	digits := regexp.MustCompile(`^[0-9]+$`)
	f.Fuzz(func(t *testing.T, body string) {
		rows, err := parseImport([]byte(header + body))
		if err != nil {
			return
		}
		lines := strings.Split(header+body, "\n")
		seen, places := map[int]bool{}, map[stock.Place]bool{}
		for _, row := range rows {
			require.False(t, seen[row.line], "line %d is in two rows", row.line)
			seen[row.line] = true
			if row.err != nil {
				continue
			}

			cells, err := csv.NewReader(strings.NewReader(lines[row.line-1])).Read()
			require.NoError(t, err, "a valid row is one line of the file")
			require.Len(t, cells, 5)
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}

			product, err := uuid.Parse(cells[0])
			require.NoError(t, err)
			require.Equal(t, stock.Place{ProductID: product, Location: cells[1]}, row.count.Place)
			require.False(t, places[row.count.Place], "one count for each place")
			places[row.count.Place] = true
			require.Regexp(t, digits, cells[2])
			require.Equal(t, trimmed(cells[2]), strconv.FormatInt(*row.count.Quantity, 10))
			require.LessOrEqual(t, *row.count.Quantity, int64(stock.MaxStock))
			if require.Equal(t, cells[3] == "", row.count.Threshold == nil); row.count.Threshold != nil {
				require.Equal(t, trimmed(cells[3]), strconv.FormatInt(*row.count.Threshold, 10))
			}
			require.Contains(t, []string{cells[4], "import"}, row.count.Reason)
		}
		require.True(t, slices.IsSortedFunc(rows, func(x, y importRow) int { return x.line - y.line }))
	})
}

// trimmed returns a number without leading zeros.
func trimmed(digits string) string {
	if short := strings.TrimLeft(digits, "0"); short != "" {
		return short
	}
	return "0"
}
