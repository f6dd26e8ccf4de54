package config

import (
	"net/url"
	"strconv"

	"gopkg.in/yaml.v3"
)

// Tracing says where traces are sent. What it leaves out is said by the variables
// OTEL_… of OpenTelemetry.
type Tracing struct {
	// Endpoint is the http or https address of a receiver of OTLP; empty leaves it to the variables.
	Endpoint string
	// Token is sent to it.
	Token Secret
	// Service is the name of the service.
	Service string
	// Sample is how many of the tasks are traced, from 0 to 1. SampleSet tells none from nothing said.
	Sample    float64
	SampleSet bool
}

func tracingField(c *Config) field {
	return fields("tracing", "where [traces](tracing.md) of tasks are sent; default: what the variables `OTEL_…` of OpenTelemetry say, and nowhere without any", tracingSection(&c.Tracing), func(p *parser, n *yaml.Node) {
		p.holdsSecrets(n)
		keys := tracingSection(&c.Tracing).in(p, n, "tracing")
		if c.Tracing.Token.File != "" && c.Tracing.Token.Env != "" {
			p.Problem(keys["token_env"], "leave one of the two out", "the token is given twice")
		}
	}).needsRestart()
}

func tracingSection(t *Tracing) section {
	return section{name: "tracing", title: "`tracing`", fields: []field{
		{name: "endpoint", typ: "text", about: "the `http` or `https` address of a receiver of OTLP, such as `http://localhost:4318`; without a path, `/v1/traces` is added", schema: object{"type": "string", "pattern": `^https?://`}, read: func(p *parser, n *yaml.Node) {
			text, ok := p.Text(n, "endpoint")
			if address, err := url.Parse(text); ok && (err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https" || address.User != nil) {
				p.Problem(n, "write it as http://HOST:4318, without a name or password", "the endpoint is no http or https address")
				return
			}
			t.Endpoint = text
		}},
		path("token_file", "the file with a token that is sent to it as a bearer token", aFile, &t.Token.File),
		variable("token_env", &t.Token.Env),
		text("service", "the name of the service; default: `$OTEL_SERVICE_NAME`, else `orchestrator`", &t.Service),
		{name: "sample", typ: "number", about: "how many of the tasks are traced, from `0` to `1`; one that is submitted with a `traceparent` does as that says. Default: what `$OTEL_TRACES_SAMPLER` says, else all", schema: object{"type": "number", "minimum": 0, "maximum": 1}, read: func(p *parser, n *yaml.Node) {
			ratio, err := strconv.ParseFloat(n.Value, 64)
			if n.Kind != yaml.ScalarNode || err != nil || !(ratio >= 0 && ratio <= 1) {
				p.Problem(n, "write 0.1 for every tenth task", "sample is a number from 0 to 1")
				return
			}
			t.Sample, t.SampleSet = ratio, true
		}},
	}}
}
