// Package servicekey names the HTTP header with which one service authenticates to another.
package servicekey

// Header carries the key.
const Header = "X-API-Key"
