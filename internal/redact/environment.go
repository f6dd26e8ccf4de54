package redact

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// secretName matches the names of variables that hold secrets.
var secretName = regexp.MustCompile(`(^|_)(TOKEN|TOKENS|SECRET|SECRETS|PASSWORD|PASSWD|PASSPHRASE|PWD|CREDENTIAL|CREDENTIALS|APIKEY|PAT)(_|$)|(TOKEN|SECRET|PASSWORD|APIKEY|_KEY)(_|$|[0-9]+$)`)

// placeName matches the names of variables that say where something is, and
// nothing of what it is.
var placeName = regexp.MustCompile(`(_(FILE|PATH|DIR|SOCK|SOCKET|ID|NAME|LIMIT|TYPE)|^PWD|^OLDPWD)$`)

// numberValue matches what is a number or a limit rather than a secret.
var numberValue = regexp.MustCompile(`^[0-9.,_]{1,11}$`)

// FromEnvironment finds the secrets in NAME=value, as os.Environ returns them: the
// values of variables whose names say so, and the passwords in URLs.
func FromEnvironment(environ []string) []Secret {
	var out []Secret
	for _, variable := range environ {
		name, value, _ := strings.Cut(variable, "=")
		upper := strings.ToUpper(name)
		switch {
		case secretName.MatchString(upper) && !placeName.MatchString(upper) && !numberValue.MatchString(value):
			out = append(out, Secret{Name: name, Value: value})
		case strings.Contains(value, "://"):
			if u, err := url.Parse(value); err == nil && u.User != nil {
				if password, ok := u.User.Password(); ok {
					out = append(out, Secret{Name: name, Value: password})
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return out
}
