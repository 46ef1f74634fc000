// The login form keeps the page to return to, and says when the token was wrong.
const query = new URLSearchParams(location.search);
document.getElementById("wrong").hidden = !query.has("wrong");
document.getElementById("login").action = "/login?next=" + encodeURIComponent(query.get("next") ?? "/");
