package stock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPromisedAt(t *testing.T) {
	t.Parallel()
	day := func(n int) time.Time { return time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC) }
	expected := []Delivery{{At: day(1), Quantity: 2}, {At: day(2), Quantity: 3}}
	for _, c := range []struct {
		name  string
		wants []Want
		at    time.Time
	}{
		{"nothing expected", []Want{{Quantity: 1}}, time.Time{}},
		{"the first delivery is enough", []Want{{Quantity: 2, Expected: expected}}, day(1)},
		{"earlier backorders come first", []Want{{Quantity: 2, Ahead: 1, Expected: expected}}, day(2)},
		{"stock that is left counts", []Want{{Quantity: 2, Ahead: 1, Available: 1, Expected: expected}}, day(1)},
		{"too little is expected", []Want{{Quantity: 6, Expected: expected}}, time.Time{}},
		{"exactly enough is expected", []Want{{Quantity: 5, Expected: expected}}, day(2)},
		{"enough is there", []Want{{Quantity: 2, Available: 2}}, time.Time{}},
		{
			"the last product decides",
			[]Want{{Quantity: 5, Expected: expected}, {Quantity: 1, Expected: expected}, {Quantity: 1, Available: 1}},
			day(2),
		},
		{
			"every product must be covered",
			[]Want{{Quantity: 1, Expected: expected}, {Quantity: 1}},
			time.Time{},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.at, PromisedAt(c.wants))
		})
	}
}
