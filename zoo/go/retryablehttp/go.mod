module retryablehttp

go 1.19

require (
	github.com/hashicorp/go-cleanhttp v0.5.2
	github.com/hashicorp/go-retryablehttp v0.7.1
	zoo v0.0.0
)

replace (
	github.com/hashicorp/go-cleanhttp => ../../../.zoo/go-source/usr/share/gocode/src/github.com/hashicorp/go-cleanhttp
	github.com/hashicorp/go-retryablehttp => ../../../.zoo/go-source/usr/share/gocode/src/github.com/hashicorp/go-retryablehttp
	zoo => ../
)
