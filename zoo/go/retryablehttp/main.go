// go-retryablehttp.
package main

import (
	"fmt"
	"net/http"

	"github.com/hashicorp/go-retryablehttp"
	"zoo/calls"
)

func main() {
	client := retryablehttp.NewClient()
	client.Logger = nil
	client.HTTPClient.Timeout = calls.Timeout()
	calls.Run(func(call *calls.Call) error {
		request, err := call.Request()
		if err != nil {
			return err
		}
		again, err := retryablehttp.FromRequest(request)
		if err != nil {
			return err
		}
		response, err := client.Do(again)
		if err != nil {
			return err
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("%s", response.Status)
		}
		return call.Read(response.Body)
	})
}
