// Package servicekey names how one of our services shows another that it may call it.
package servicekey

// Header carries the credential.
const Header = "X-API-Key"
