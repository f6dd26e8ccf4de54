// Package prices says what a turn costs, by a file that people edit: no price
// is built in, except that models on one's own machine cost nothing.
//
//	version: 1
//	models:
//	  anthropic/claude-*: {input: 3.00, output: 15.00, cached_input: 0.30, cache_write: 3.75}
//
// Prices are dollars for a million tokens.
package prices
