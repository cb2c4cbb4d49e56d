package seed

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"

	"holdfast/internal/money"
	"holdfast/internal/orderstore"
	"holdfast/inventory/store"
)

// The locations of the example products.
const (
	Location = "main"
	north    = "north"
	outlet   = "outlet"
)

var (
	mainWarehouse  = store.Location{Code: Location, Name: "Main warehouse", Priority: 1}
	northWarehouse = store.Location{Code: north, Name: "North warehouse", Priority: 2}
	outletStore    = store.Location{Code: outlet, Name: "Outlet store", Priority: 3}
)

// dataset is one set of example data.
type dataset struct {
	about     string
	locations []store.Location
	items     []item
	holds     []hold
}

// item is a product with its stock in each location.
type item struct {
	orderstore.NewProduct
	stock []pile
}

type pile struct {
	location string
	quantity int64
}

func (i item) total() (sum int64) {
	for _, p := range i.stock {
		sum += p.quantity
	}
	return sum
}

// hold is a reservation of a data set. It has the same key on every machine.
type hold struct {
	key     string
	ttl     int  // seconds; 0 is a day
	expired bool // it expires after a second, by its own timer
	lines   []holdLine
}

type holdLine struct {
	product  uuid.UUID
	quantity int64
}

var datasets = map[string]func() dataset{"dev": dev, "test": test, "demo": demo}

// Examples identifies the data of all data sets, so that a reset can tell it from other data.
func Examples() orderstore.Examples {
	out := orderstore.Examples{Issuer: Issuer, Products: []uuid.UUID{}}
	for _, build := range datasets {
		for _, i := range build().items {
			out.Products = append(out.Products, ProductID(i.SKU))
		}
	}
	return out
}

// Names lists the data sets.
func Names() []string { return slices.Sorted(maps.Keys(datasets)) }

// Describe describes all data sets in one line.
func Describe() string {
	var out []string
	for _, name := range Names() {
		out = append(out, name+": "+datasets[name]().about)
	}
	return strings.Join(out, " · ")
}

func find(name string) (dataset, error) {
	build, ok := datasets[name]
	if !ok {
		return dataset{}, fmt.Errorf("there is no data set %q; choose one of: %s", name, strings.Join(Names(), ", "))
	}
	return build(), nil
}

// dev has 100 products: every fifth is low on stock, every fifth has at least 500 units, the rest have between 50 and
// 150. Every third product with at least 50 units lies in two locations. Up to 30 % of each product are reserved.
func dev() dataset {
	kinds := []struct {
		code, name, category string
		cents                int64
	}{
		{"MUG", "Stoneware mug", "kitchen", 1490},
		{"TEE", "Organic cotton T-shirt", "clothing", 2490},
		{"LMP", "Desk lamp", "home", 5990},
		{"NTB", "Dotted notebook", "paper", 1190},
		{"BAG", "Canvas backpack", "travel", 7990},
		{"HPH", "Wireless headphones", "audio", 12900},
		{"KTL", "Gooseneck kettle", "kitchen", 8900},
		{"PLT", "Potted fern", "garden", 1990},
		{"BLK", "Wool blanket", "home", 9900},
		{"PEN", "Fountain pen", "paper", 3490},
	}
	colours := []string{"Graphite", "Forest", "Sand", "Cobalt", "Rust", "Ivory", "Plum", "Teal", "Amber", "Slate"}
	d := dataset{
		about:     "100 products, a fifth of them low on stock, up to 30 % reserved",
		locations: []store.Location{mainWarehouse, northWarehouse},
	}

	var lines []holdLine
	for i := range len(kinds) * len(colours) {
		k, colour := kinds[i%len(kinds)], colours[i/len(kinds)]
		quantity := int64(50 + i)
		switch i % 5 {
		case 0:
			quantity = int64(1 + i%9)
		case 4:
			quantity = int64(500 + 5*i)
		}

		sku := fmt.Sprintf("%s-%s", k.code, strings.ToUpper(colour[:3]))
		name := fmt.Sprintf("%s, %s", k.name, strings.ToLower(colour))
		it := product(sku, name, k.category, k.cents+int64(i/10)*50, quantity)
		if i%3 == 2 && quantity >= 50 {
			it.stock = []pile{{Location, quantity - quantity/3}, {north, quantity / 3}}
		}
		d.items = append(d.items, it)

		if reserved := quantity * int64(i%4) / 10; reserved > 0 {
			lines = append(lines, holdLine{it.ProductID, reserved})
		}
	}

	for chunk := range slices.Chunk(lines, 3) {
		d.holds = append(d.holds, hold{key: fmt.Sprintf("dev-%02d", len(d.holds)+1), lines: chunk})
	}
	return d
}

// test has 20 products whose stock repeats the sequence 0, 1, 5, 10, 50, 100. None of it is reserved.
func test() dataset {
	levels := []int64{0, 1, 5, 10, 50, 100}
	d := dataset{about: "20 products with predictable stock, none reserved", locations: []store.Location{mainWarehouse}}
	for i := range 20 {
		sku, name := fmt.Sprintf("TEST-%02d", i+1), fmt.Sprintf("Test product %d", i+1)
		d.items = append(d.items, product(sku, name, "test", int64(1000+i), levels[i%len(levels)]))
	}
	return d
}

// demo has one product for each case that an operator should know, with the case in its name. Of each product with more
// than one unit, 30 to 70 % are reserved, and all units of one. Their 15 reservations end one after the other within
// the hour, so that an operator sees stock come back.
func demo() dataset {
	d := dataset{
		about:     "11 extreme cases, 30 to 70 % reserved, one product whole; 15 reservations end within the hour",
		locations: []store.Location{mainWarehouse, northWarehouse, outletStore},
	}
	add := func(sku, name, category string, cents, reserved int64, stock ...pile) *item {
		it := product(sku, name, category, cents, 0)
		it.stock = stock
		d.items = append(d.items, it)
		if reserved > 0 {
			d.holds = append(d.holds, hold{key: sku, lines: []holdLine{{it.ProductID, reserved}}})
		}
		return &d.items[len(d.items)-1]
	}

	add("DEMO-SOLD-OUT", "Vinyl record, sold out", "music", 2990, 0, pile{Location, 0})
	add("DEMO-LAST-ONE", "Signed print, the last one", "art", 24900, 0, pile{Location, 1})
	add("DEMO-LOW", "Enamel pot, low on stock", "kitchen", 5490, 2, pile{Location, 5})
	hundred := add("DEMO-HUNDRED", "Linen apron, a hundred", "kitchen", 3990, 30, pile{Location, 100}).ProductID
	add("DEMO-THOUSAND", "Beeswax candle, a thousand", "home", 890, 500, pile{Location, 1000})
	add("DEMO-HUGE", "Ballpoint pen, a hundred thousand", "paper", 120, 40_000, pile{Location, 100_000})
	add("DEMO-SPLIT", "Folding chair, split over three locations", "garden", 6990, 45,
		pile{Location, 40}, pile{north, 35}, pile{outlet, 25})
	add("DEMO-RESERVED", "Film camera, mostly reserved", "photo", 34900, 140, pile{Location, 150}, pile{outlet, 50})
	euroOnly := add("DEMO-EUR-ONLY", "Regional honey, no price in USD", "food", 1290, 20, pile{Location, 60})
	euroOnly.Prices = []money.Amount{{Minor: 1290, Currency: "EUR"}}
	inactive := add("DEMO-INACTIVE", "Winter coat, taken out of the catalogue", "clothing", 18900, 10, pile{north, 30})
	inactive.Inactive = true

	const ending = 15
	all := add("DEMO-ALL-RESERVED", "Concert poster, every one reserved", "art", 1990, 0, pile{Location, ending}).ProductID
	for i := range ending {
		d.holds = append(d.holds, hold{
			key:   fmt.Sprintf("DEMO-ALL-RESERVED-%02d", i+1),
			ttl:   3600 * (i + 1) / ending,
			lines: []holdLine{{all, 1}},
		})
	}

	d.holds = append(d.holds, hold{key: "DEMO-HUNDRED-EXPIRED", expired: true, lines: []holdLine{{hundred, 10}}})
	return d
}

func product(sku, name, category string, cents, quantity int64) item {
	return item{stock: []pile{{Location, quantity}}, NewProduct: orderstore.NewProduct{
		ProductID:   ProductID(sku),
		SKU:         sku,
		Name:        name,
		Category:    category,
		Description: name + ".",
		Prices:      []money.Amount{{Minor: cents, Currency: "EUR"}, {Minor: cents * 11 / 10, Currency: "USD"}},
	}}
}
