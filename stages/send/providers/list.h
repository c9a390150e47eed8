/* The providers that this build knows: one row each. No guard: it is included with a MILL_PROVIDER
 * of the includer's making. The first is the default of the option `providers`. */
MILL_PROVIDER(sendgrid)
MILL_PROVIDER(mailgun)
MILL_PROVIDER(smtp)
