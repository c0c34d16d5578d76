// The end of every page.
import { h } from "../dom.js";

export const footer = () =>
  h("footer", {}, h("p", {}, "Made with moescope. This page is one file and asks nothing of the network."),
    h("details", {}, h("summary", {}, "Licences of the chart libraries in it"),
      h("pre", {}, document.getElementById("licences").content.textContent)));
