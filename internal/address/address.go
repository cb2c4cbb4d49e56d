// Package address is a postal address, as customers give it, as an order's workflow carries it and as it is recorded.
// It is pure.
package address

// Address is where an order goes. Its JSON is part of recorded histories: members are only added.
type Address struct {
	Name       string `json:"name,omitempty"`
	Line1      string `json:"line1,omitempty"`
	Line2      string `json:"line2,omitempty"`
	City       string `json:"city,omitempty"`
	Region     string `json:"region,omitempty"`
	PostalCode string `json:"postal_code,omitempty"`
	Country    string `json:"country,omitempty"` // ISO 3166-1 alpha-2
}
