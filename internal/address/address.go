// Package address has the postal address that customers give, that an order's workflow carries and that the orders
// database records. It is pure.
package address

// Address is where an order goes. Its JSON is part of recorded histories: add members, but never change or remove one.
type Address struct {
	Name       string `json:"name,omitempty"`
	Line1      string `json:"line1,omitempty"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country,omitempty"` // ISO 3166-1 alpha-2
}
