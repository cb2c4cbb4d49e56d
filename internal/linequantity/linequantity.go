// Package linequantity has the limit of the quantity of one line, which the orders interface and inventory share.
package linequantity

import (
	"fmt"
	"regexp"
	"strconv"
)

// Default is the limit if the configuration names none. The OpenAPI documents have it.
const Default = 1000

// Highest is the highest limit that a shop may set.
const Highest = 1_000_000

// Config is the limit, from the environment.
type Config struct {
	Most int64 `env:"MAX_LINE_QUANTITY" envDefault:"1000"`
}

// Validate refuses a limit with which nothing could be ordered, and one that is too high.
func (c Config) Validate() error {
	if c.Most < 1 || c.Most > Highest {
		return fmt.Errorf("MAX_LINE_QUANTITY is %d; it must be 1 to %d", c.Most, Highest)
	}
	return nil
}

// marked finds the limits in a document: those of the schemas with x-max-line-quantity.
var marked = regexp.MustCompile(`maximum: \d+(, x-max-line-quantity: true)`)

// Apply returns an OpenAPI document with the configured limit, so that requests are held to it and clients read it.
func (c Config) Apply(spec []byte) []byte {
	return marked.ReplaceAll(spec, []byte("maximum: "+strconv.FormatInt(c.Most, 10)+"$1"))
}
